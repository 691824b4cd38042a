"""Persons of one funnel as a log over packed buckets: what an apply writes, and what its owner remembers. Pure, no I/O.

A bucket is a hash of *parts*, each some twenty persons packed in one value, and a list of *entries*: what applies have
changed since, one value each. The newest entry that names a person says what is stored; only where none does, its
part. An apply appends to the list of each bucket that it changes. Now and then it *folds* a bucket: writes its parts
anew and empties its list (docs/decisions/store-layout.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias
from zlib import crc32

import msgspec

from streams.state import CHUNK_SEPARATOR, PERSON_BUCKETS, key_of

Fields: TypeAlias = dict[bytes, bytes | None]
"""Person fields; None: deleted."""

_BUCKET_BITS: Final = PERSON_BUCKETS.bit_length() - 1
PART_BYTES: Final = 3_000
_MOST_PARTS: Final = 1_024
"""All of a bucket are written by one HSET, whose values Lua's stack must hold."""
SMALLEST_LOG: Final = 2_048
"""A list of fewer bytes is not worth a fold."""
_FOLDED_PER_LOGGED: Final = 2.5
"""Bytes written by folds for each byte appended. The lists take two thirds of what the parts do before they are folded,
a third on average; more folding costs the append-only file, less costs memory."""
_FOLDED_AT_ONCE: Final = 1_500_000
"""Some milliseconds of the server."""
FOLDED_TOGETHER: Final = 64_000
"""Small applies fold several buckets once in a while rather than one each: a fold costs a round trip of its own."""
_LOADED_AT_ONCE: Final = 16
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Fields).decode


class StoredBucket(NamedTuple):
    """What was read of a bucket."""

    parts: int
    """How many it has."""
    size: int
    """Bytes of all of them."""
    base: dict[int, bytes]
    """By number: the parts that were asked for."""
    entries: list[bytes]
    """The list, if it was asked for."""

    def known(self) -> Fields:
        """Fields of these parts and entries, deleted ones too."""
        fields: Fields = {}
        for packed in (*self.base.values(), *self.entries):
            fields.update(_decode(packed))
        return fields

    def since(self) -> Fields:
        """Fields of the entries."""
        return self._replace(base={}).known()


class Fold(NamedTuple):
    """A bucket's parts to be written; its list is empty then."""

    parts: int
    size: int
    packed: dict[int, bytes]

    def flat(self) -> list[bytes]:
        """Fields and values of the hash."""
        flat = [b"n", b"%d" % self.parts, b"b", b"%d" % self.size]
        for number, part in self.packed.items():
            flat += (b"%d" % number, part)
        return flat


@dataclass(slots=True)
class PersonWrites:
    """What an apply writes of one funnel's persons, by bucket."""

    groups: dict[int, Fields]
    """What changes, whether it is appended or folded."""
    entries: dict[int, bytes]
    """To be appended."""
    folds: dict[int, Fold] = field(default_factory=dict)


class PersonLog:
    """What the owner remembers of the buckets; anybody else makes one that knows nothing."""

    def __init__(self, *, is_new: bool = False) -> None:
        """`is_new`: nothing is stored yet."""
        self.since: list[Fields | None] = [{} if is_new else None for _ in range(PERSON_BUCKETS)]
        """By bucket: what its list says; None where that was not read yet."""
        self._logged = [0] * PERSON_BUCKETS
        self._sizes = [0] * PERSON_BUCKETS
        self._parts = [0] * PERSON_BUCKETS
        self._credit = 0.0

    def to_load(self, groups: Iterable[int]) -> list[int]:
        """Of the buckets that change: whose list is to be read, so that they can be folded one day."""
        return [bucket for bucket in groups if self.since[bucket] is None][:_LOADED_AT_ONCE]

    def learn(self, bucket: int, stored: StoredBucket) -> None:
        """A bucket's list was read."""
        self.since[bucket] = stored.since()
        self._logged[bucket] = sum(map(len, stored.entries))
        self._sizes[bucket], self._parts[bucket] = stored.size, stored.parts

    def due(self, entries: Mapping[int, bytes]) -> list[int]:
        """Buckets to be folded beside these entries: those with the longest lists, for as many bytes as are allowed."""
        longest = sorted(range(PERSON_BUCKETS), key=self._logged.__getitem__, reverse=True)
        self._credit = min(
            self._credit + _FOLDED_PER_LOGGED * sum(map(len, entries.values())),
            max(_FOLDED_AT_ONCE, self._cost(longest[0])),
        )
        due: list[int] = []
        for bucket in longest if self._credit >= FOLDED_TOGETHER else ():
            if self._logged[bucket] < SMALLEST_LOG or self._cost(bucket) > self._credit:
                break
            self._credit -= self._cost(bucket)
            due.append(bucket)
        return due

    def _cost(self, bucket: int) -> int:
        return self._sizes[bucket] + self._logged[bucket]

    def wanted(self, bucket: int, group: Fields) -> list[int] | None:
        """Numbers of the persons whose parts a fold needs; None: all parts, since there will be more of them."""
        if self._parts_after(bucket) != self._parts[bucket]:
            return None
        return [person_number(name) for name in (self.since[bucket] or {}) | group]

    def fold(self, bucket: int, stored: StoredBucket, group: Fields, *, keep_deleted: bool) -> Fold:
        """A bucket with all that its list says and what changes now. `keep_deleted`: in an older layout there may be
        another value."""
        changed = (self.since[bucket] or {}) | group
        parts = self._parts_after(bucket)
        if parts != stored.parts:
            changed = stored.known() | changed
            before: dict[int, Fields] = {number: {} for number in range(parts)}
        else:
            before = {number: _decode(packed) for number, packed in stored.base.items()}
        for name, packed in changed.items():
            before[person_number(name) % parts][name] = packed
        after = {}
        for number, fields in before.items():
            for name in [] if keep_deleted or None not in fields.values() else list(fields):
                if fields[name] is None:
                    del fields[name]
            after[number] = _encode(fields)
        size = stored.size + sum(map(len, after.values())) - sum(map(len, stored.base.values()))
        return Fold(parts, size, after)

    def _parts_after(self, bucket: int) -> int:
        parts = max(1, self._parts[bucket])
        while self._cost(bucket) > parts * PART_BYTES and parts < _MOST_PARTS:
            parts *= 2
        return parts

    def note(self, writes: PersonWrites) -> None:
        """An apply was acknowledged."""
        for bucket, entry in writes.entries.items():
            since = self.since[bucket]
            if since is not None:
                since.update(writes.groups[bucket])
                self._logged[bucket] += len(entry)
        for bucket, fold in writes.folds.items():
            self.since[bucket], self._logged[bucket] = {}, 0
            self._sizes[bucket], self._parts[bucket] = fold.size, fold.parts


def grouped(persons: Mapping[bytes, bytes | None]) -> dict[int, Fields]:
    """Changes by bucket."""
    groups: dict[int, Fields] = {}
    for name, packed in persons.items():
        bucket = crc32(name if CHUNK_SEPARATOR not in name else key_of(name)) % PERSON_BUCKETS
        group = groups.get(bucket)
        if group is None:
            groups[bucket] = {name: packed}
        else:
            group[name] = packed
    return groups


def entries_of(groups: Mapping[int, Fields]) -> dict[int, bytes]:
    """What is appended of changes."""
    return {bucket: _encode(group) for bucket, group in groups.items()}


def person_number(name: bytes) -> int:
    """What tells a person's part: the bits of its hash that do not tell the bucket."""
    return crc32(name if CHUNK_SEPARATOR not in name else key_of(name)) >> _BUCKET_BITS
