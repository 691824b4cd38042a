"""Which partition of a topic a key belongs to: Kafka's murmur2, as every Java and aiokafka producer places it."""

from __future__ import annotations

from struct import unpack_from

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """32-bit murmur2 of Kafka's `Utils.murmur2` (seed 0x9747b28c), unsigned."""
    length = len(key)
    h = 0x9747B28C ^ length
    for k in unpack_from(f"<{length >> 2}I", key):
        k = (k * _M) & _MASK
        h = ((h * _M) & _MASK) ^ (((k ^ (k >> 24)) * _M) & _MASK)
    tail = key[length & ~3 :]
    if tail:
        h = ((h ^ int.from_bytes(tail, "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of `key` among `partitions` (>= 1)."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
