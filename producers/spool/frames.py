"""The bytes of the spool: what one acknowledged request looks like on disk, and how to find it again after a crash.

Pure. A frame is a header and the records of one `put`; it counts as a whole or not at all:

    magic 4 | crc32 4 | length of the payload 4 | records 4 | written at, epoch ms 8 | durable up to 8 | payload

The checksum covers everything behind it. "Durable up to" is the offset in the file below which everything was synced
when the frame was written: bytes that cannot be read below that offset were acknowledged once and are damage; above it
they are the torn end of a write that nobody was told about.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from producers.sink.port import Outgoing

_MAGIC: Final = b"\xf5FC1"
_HEAD: Final = struct.Struct("<4sI")
_REST: Final = struct.Struct("<IIQQ")
HEADER_BYTES: Final = _HEAD.size + _REST.size
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Outgoing]).decode


class Frame(NamedTuple):
    """A whole frame: where it begins and ends, and what is in it."""

    start: int
    end: int
    records: int
    written_ms: int
    durable: int
    payload: bytes


class UnreadableFrameError(ValueError):
    """A frame whose checksum is right and whose payload is no list of records."""


def encode_records(records: Sequence[Outgoing]) -> bytes:
    """The payload of a frame."""
    return _encode(records)


def decode_records(payload: bytes) -> list[Outgoing]:
    """The records of a payload. Raises UnreadableFrameError."""
    try:
        return _decode(payload)
    except msgspec.DecodeError as error:
        raise UnreadableFrameError(str(error)) from None


def encode_frame(payload: bytes, *, count: int, written_ms: int, durable: int) -> bytes:
    """The bytes of a frame."""
    tail = _REST.pack(len(payload), count, written_ms, durable)
    return _HEAD.pack(_MAGIC, zlib.crc32(payload, zlib.crc32(tail))) + tail + payload


def frame_bytes(header: bytes) -> int | None:
    """How long the frame is that begins with this header; None where no frame begins."""
    if len(header) < HEADER_BYTES or header[:4] != _MAGIC:
        return None
    length: int = _REST.unpack_from(header, _HEAD.size)[0]
    return HEADER_BYTES + length


def whole_frames(data: bytes, start: int = 0) -> list[Frame]:
    """The unbroken row of whole frames that begins at `start`."""
    frames: list[Frame] = []
    while (frame := _frame_at(data, start)) is not None:
        frames.append(frame)
        start = frame.end
    return frames


def next_frame(data: bytes, start: int) -> int | None:
    """Where the first whole frame at or behind `start` begins."""
    while (start := data.find(_MAGIC, start)) >= 0:
        if _frame_at(data, start) is not None:
            return start
        start += 1
    return None


def torn_tail_start(data: bytes, start: int) -> int | None:
    """Where the bytes of a write begin that was never acknowledged; None where there are none.

    What cannot be read below the newest frame's durable mark is damage and no torn end.
    """
    offset = durable = start
    holes: list[int] = []
    while True:
        if frames := whole_frames(data, offset):
            offset, durable = frames[-1].end, frames[-1].durable
        if offset >= len(data):
            break
        holes.append(offset)
        offset = next_frame(data, offset + 1) or len(data)
    return next((hole for hole in holes if hole >= durable), None)


def _frame_at(data: bytes, start: int) -> Frame | None:
    size = frame_bytes(data[start : start + HEADER_BYTES])
    if size is None or start + size > len(data):
        return None
    body = data[start + _HEAD.size : start + size]
    if zlib.crc32(body) != _HEAD.unpack_from(data, start)[1]:
        return None
    _, count, written_ms, durable = _REST.unpack_from(body)
    return Frame(start, start + size, count, written_ms, durable, body[_REST.size :])
