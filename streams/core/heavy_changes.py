"""Which events of a heavy person come and go by a chunk's operations, where they do nothing else. Changes nothing."""

from __future__ import annotations

from streams.core.chunk import Op
from streams.core.header import last_at, words_of
from streams.core.heavy import kept_event, may_be_full, may_be_known
from streams.core.kept import KeptEvent
from streams.core.plan import ORDER, RESTATED, WITHDRAWN
from streams.core.state import FunnelState


class HeavyChanges:
    """Which events of a heavy person come and go by a chunk's operations, where that is all they do."""

    def __init__(self, state: FunnelState, key: bytes, packed: bytes) -> None:
        self.added: dict[int, KeptEvent] = {}
        """By hash."""
        self.gone: dict[int, int] = {}
        """Hash -> time of kept events of which an earlier copy came."""
        self._state = state
        self._key = key
        self._packed = packed
        self._newest = last_at(words_of(state.plan, packed)[0])
        self._ids: set[int] = set()

    def take(self, op: Op) -> bool:
        """Note what an event changes; False where it may change more."""
        _, at, event_hash, kind, code, horizon, whole = op
        stored = self._kept(event_hash)
        if self._newest < horizon or kind in (WITHDRAWN, RESTATED) or stored is None or 0 <= stored[0] < horizon:
            return False  # perhaps the key begins anew, an order changes, or a settled event is new again
        if 0 <= stored[0] <= at:
            return True  # of copies the earliest counts, and it is stored already
        if stored[1] >= ORDER or not self._are_new(whole):
            return False  # an order or refund of which another event may lie in another chunk
        if stored[0] < 0 and self._may_be_full():
            return False
        if stored[0] >= 0 and event_hash not in self.added:
            self.gone[event_hash] = stored[0]
        self.added[event_hash] = whole if whole is not None else KeptEvent(at, event_hash, kind, code)
        self._newest = max(self._newest, at)
        return True

    def _kept(self, event_hash: int) -> tuple[int, int] | None:
        """(time, kind) of the kept event of that hash, (-1, -1) for none; None where the bytes do not tell."""
        added = self.added.get(event_hash)
        if added is not None:
            return added.at, added.kind
        return kept_event(self._state.cache, self._key, self._packed, event_hash.to_bytes(8, "little"))

    def _are_new(self, whole: KeptEvent | None) -> bool:
        """Whether the ids that an event names are new to the person."""
        for number in () if whole is None else (whole.order, whole.refund):
            if number:
                if number in self._ids or may_be_known(self._state.cache, self._key, self._packed, number):
                    return False
                self._ids.add(number)
        return True

    def _may_be_full(self) -> bool:
        return may_be_full(self._state, self._key, self._packed, len(self.added))
