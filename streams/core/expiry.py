"""Which groups of cells leave the store because their bucket is past its keep time: the owner deletes them."""

from __future__ import annotations

import msgspec

from schemas.counters import KEEP_MS, CellGroup, Cells, Grain
from schemas.times import HOUR_MS, MINUTE_MS

_GROUPS_PER_APPLY = 2_000
"""Deleting more keys at once would hold the server up."""
_NOTHING = (1 << 62, -1)
"""The range of no bucket."""
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
            lowest, highest = self._range.get(grain, _NOTHING)
            if bucket < lowest or bucket > highest:
                self._range[int(grain)] = [min(bucket, lowest), max(bucket, highest)]
                changed = True
        return changed

    def expired(self, watermark_ms: int, dimsets: int) -> list[CellGroup]:
        """Groups to delete at a watermark, oldest first; forgets them. After a jump later calls give the others."""
        groups: list[CellGroup] = []
        for grain, (lowest, highest) in list(self._range.items()):
            first_kept = (watermark_ms - KEEP_MS[Grain(grain)]) // _UNIT_MS[Grain(grain)]
            if first_kept <= lowest:
                continue
            # Minutes are counted without dimensions.
            sets = 1 if grain == Grain.MINUTE else dimsets
            room = max(0, _GROUPS_PER_APPLY - len(groups)) // sets
            end = min(first_kept, highest + 1, lowest + max(1, room))
            groups += [(grain, bucket, dimset) for bucket in range(lowest, end) for dimset in range(sets)]
            if end > highest:
                del self._range[grain]
            else:
                self._range[grain] = [end, highest]
        return groups
