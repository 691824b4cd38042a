"""Sealed chunks of a heavy person (`streams.core.heavy`): fields in the store, and what is known in memory."""

from __future__ import annotations

from collections.abc import Iterable

from streams.core.base import Base
from streams.core.kept import KeptEvent
from streams.core.lifetimes import Revenue
from streams.state import CHUNK_SEPARATOR


def chunk_fields(key: bytes, count: int) -> list[bytes]:
    """Fields of a person's sealed chunks."""
    return [key + CHUNK_SEPARATOR + b"%d" % number for number in range(count)]


class Heavy:
    """What is known in memory of a person with sealed chunks; derived, rebuilt on demand."""

    __slots__ = ("bases", "ends", "ids", "revenues", "times")

    def __init__(self) -> None:
        self.times: dict[int, int] = {}
        """Of sealed events, by hash."""
        self.ids: set[int] = set()
        """Orders and refunds that sealed events name (or have named)."""
        self.ends: list[int] = []
        """Time of the newest event of every chunk, ascending."""
        self.bases: list[Base] = []
        """The pass before chunk 0, 1, ... as far as it was asked for."""
        self.revenues: list[Revenue | None] = []
        """Of the orders of every chunk; None: not asked for yet."""

    def learn(self, events: Iterable[KeptEvent]) -> None:
        """Events are sealed."""
        for event in events:
            self.times[event.event_hash] = event.at
            if event.order or event.refund:
                self.ids.update((event.order, event.refund))
