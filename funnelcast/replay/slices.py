"""Where a replay waits until everything that was forwarded has arrived.

A history of months goes through in seconds, each partition at its own pace. An event of a linked id that reaches the
higher id's partition when that is far ahead would lie behind its horizon. So before the clock of the log moves farther
than the slack, what is on its way must have arrived. A file without links, or one partition, is one slice. Both ways
of a replay cut at the same places.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from producers.ingest.verdicts import Accepted, Ticked, Verdict
from schemas.funnel.model import Funnel

_NEVER: Final = 1 << 62


class Slices:
    """Says before which records to wait. `ends_before` is asked once for every record of the log, in its order."""

    def __init__(self, funnels: Iterable[Funnel], *, watermark_delay_ms: int, partitions: int) -> None:
        times = [(funnel.conversion_window_ms, funnel.allowed_lateness_ms) for funnel in funnels]
        slack = min(min(pair) for pair in times) + watermark_delay_ms
        self._may_move = slack * 3 // 4
        """How far the clock may move after a record whose forwards are on their way: an event of it was in time by the
        lateness, one that it moves lies within one window of it."""
        self._is_needed = partitions > 1
        self._linked: set[bytes] = set()
        self._highest = 0
        self._due = _NEVER

    def ends_before(self, verdict: Verdict) -> bool:
        """Whether what stands before this record must have arrived first."""
        if not self._is_needed:
            return False  # within a partition events change hands at once
        if isinstance(verdict, Accepted):
            time_ms = verdict.received_at_ms
        elif isinstance(verdict, Ticked):
            time_ms = verdict.tick_ms
        else:
            return False
        ends = self._highest < time_ms > self._due
        self._highest = max(self._highest, time_ms)
        if ends:
            self._due = _NEVER
        if isinstance(verdict, Accepted) and self._may_forward(verdict):
            self._due = min(self._due, time_ms + self._may_move)
        return ends

    def _may_forward(self, accepted: Accepted) -> bool:
        """Whether it may link an id, or be an event of one that is linked."""
        self._linked.update(claim.key for claim in accepted.claims)
        return bool(accepted.claims) or accepted.key in self._linked
