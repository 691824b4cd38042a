"""Groups of days as a reader keeps them between two reads: which of them have to be read again. No I/O.

A closed day hardly ever changes, so a read asks for the versions of all days and for the cells of those that have
changed. What was cached counts while the store names the same version of it: the version is the apply that wrote it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from schemas.counters import CellGroup, SettledFields
from streams.store.packing import version_field

_NEWEST, _BASE = "@", "base"


class CachedGroup(NamedTuple):
    """A group as it was read last."""

    signature: tuple[bytes, bytes]
    """Its names and values: without a version, what tells whether it has changed."""
    fields: SettledFields
    version: bytes | None
    """None: it has to be read each time."""


class Versions:
    """What one read asks for, and learns, about the versions of its groups."""

    def __init__(self, funnel_id: str, groups: Sequence[CellGroup]) -> None:
        fields = {group: field for group in groups if (field := version_field(funnel_id, group)) is not None}
        self._groups, self._fields = list(fields), tuple(fields.values())

    def command(self, key: str) -> tuple[str, ...]:
        """What to ask the store."""
        return ("HMGET", key, _NEWEST, _BASE, *self._fields)

    def versions_in(self, answer: Sequence[bytes | None], seq: bytes | None) -> dict[CellGroup, bytes]:
        """By group, of the answer to the command. Nothing where the newest apply (`seq`) is not the one that wrote
        versions last: then something wrote that knows none."""
        newest, base, *written = answer
        if newest is None or newest != seq or base is None:
            return {}
        return {group: base + b"/" + (version or b"") for group, version in zip(self._groups, written, strict=True)}


def to_read(
    groups: Sequence[CellGroup], cached: Mapping[CellGroup, CachedGroup], *, versions: Mapping[CellGroup, bytes]
) -> list[CellGroup]:
    """Groups that are not cached, or not in this version."""

    def is_known(group: CellGroup) -> bool:
        version = versions.get(group)
        return version is not None and group in cached and cached[group].version == version

    return [group for group in groups if not is_known(group)]


def expected(
    groups: Sequence[CellGroup], cached: Mapping[CellGroup, CachedGroup], *, changing: Collection[CellGroup]
) -> list[CellGroup]:
    """Groups that will have to be read, as far as one knows before their versions are there: those that changed last
    time, and those of which none is known."""
    return [group for group in groups if group in changing or group not in cached or cached[group].version is None]
