"""Which groups of cells leave the store because their bucket is past its keep time: the owner deletes them."""

from __future__ import annotations

import msgspec

from schemas.counters import KEEP_MS, CellGroup, Cells, Grain
from schemas.times import HOUR_MS, MINUTE_MS

_GROUPS_PER_APPLY = 2_000
"""Deleting more keys at once would hold the server up."""
_UNIT_MS = {Grain.MINUTE: MINUTE_MS, Grain.HOUR: HOUR_MS}


class Expiry:
    """The range of minutes and hours that may be stored, as [lowest, highest] or nothing."""

    def __init__(self) -> None:
        self._range: dict[int, list[int]] = {}

    def restore(self, core_state: bytes | None) -> None:
        """Take over what `core_state` gave."""
        if core_state:
            self._range = msgspec.msgpack.decode(core_state, type=dict[int, list[int]])

    def core_state(self) -> bytes:
        """State to be stored."""
        return msgspec.msgpack.encode(self._range)

    def note(self, cells: Cells) -> bool:
        """Remember which buckets were written; whether that changed anything."""
        changed = False
        for grain, bucket, _ in cells:
            if grain != Grain.MINUTE and grain != Grain.HOUR:
                continue
            kept = self._range.get(grain)
            if kept is None:
                self._range[int(grain)] = [bucket, bucket]
                changed = True
            elif bucket < kept[0] or bucket > kept[1]:
                self._range[int(grain)] = [min(bucket, kept[0]), max(bucket, kept[1])]
                changed = True
        return changed

    def expired(self, watermark_ms: int, dimsets: int) -> list[CellGroup]:
        """Groups to delete at a watermark, oldest first; forgets them. After a jump the rest comes with later calls."""
        found: list[CellGroup] = []
        for grain, kept in list(self._range.items()):
            first = (watermark_ms - KEEP_MS[Grain(grain)]) // _UNIT_MS[Grain(grain)]
            if first <= kept[0]:
                continue
            sets = 1 if grain == Grain.MINUTE else dimsets
            room = max(0, _GROUPS_PER_APPLY - len(found)) // sets
            end = min(first, kept[1] + 1, kept[0] + max(1, room))
            found += [(grain, at, one) for at in range(kept[0], end) for one in range(sets)]
            if end > kept[1]:
                del self._range[grain]
            else:
                kept[0] = end
        return found
