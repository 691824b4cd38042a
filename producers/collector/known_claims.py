"""Claims that the log has already: a visitor who is known by two ids says so with every event, and once is enough.

What is left out must be sure to change nothing: only the claim of the same higher id, stored from here a short while
ago, by an event that was in time for every funnel. A claim of another id is always sent, for it is counted. After
somebody was forgotten a claim may be missing until `KEPT_MS` are over; then it joins what came meanwhile.
"""

from __future__ import annotations

from typing import Final

KEPT_MS: Final = 10 * 60_000
MOST: Final = 20_000
"""Lower ids; the one claimed first goes first."""


class KnownClaims:
    """Of one process."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[bytes, tuple[bytes, int]] = {}
        """By lower id: the first higher one, and when it was received."""

    def has(self, lower: bytes, higher: bytes, now_ms: int) -> bool:
        """Whether the claim may be left out."""
        known = self._known.get(lower)
        return known is not None and known[0] == higher and 0 <= now_ms - known[1] < KEPT_MS

    def admit(self, lower: bytes, higher: bytes, now_ms: int) -> None:
        """A claim is stored. Of two that claim one id the first stays known."""
        known = self._known.get(lower)
        if known is not None and known[0] != higher and now_ms - known[1] < KEPT_MS:
            return
        self._known.pop(lower, None)
        self._known[lower] = (higher, now_ms)
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
