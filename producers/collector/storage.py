"""Stores what a request holds: each delivery of a webhook once, dead letters within their limit, everything counted
when it is acknowledged. Decides no status and no verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from producers.collector.deliveries import Deliveries
from producers.collector.metrics import CollectorMetrics, Counts
from producers.collector.records import RecordBuilder
from producers.dead_letters.header import is_replayed
from producers.dead_letters.limit import DeadLetterLimit
from producers.formats.port import Reading, Request
from producers.http.body import RequestError
from producers.ingest.verdicts import Deduplicated, Scope, Sender
from producers.sink.port import Outgoing, Sink, SinkUnavailableError

_KEYLESS_PER_SECOND: Final = 10
"""Dead letters of requests without a key: clients without one cannot fill the topic."""


class Storage:
    """One per process. `now_ms` is its clock."""

    def __init__(
        self,
        sink: Sink,
        records: RecordBuilder,
        metrics: CollectorMetrics,
        *,
        dead_letter_limit: DeadLetterLimit,
        now_ms: Callable[[], int],
    ) -> None:
        self._sink = sink
        self._records = records
        self._metrics = metrics
        self._limit = dead_letter_limit
        self._now_ms = now_ms
        self._deliveries = Deliveries()
        self._keyless: tuple[int, int] = (0, 0)

    async def store(self, reading: Reading, request: Request, sender: Sender) -> None:
        """Write what was read, or find that this delivery is stored already: then nothing is written. Raises
        SinkUnavailableError."""
        if reading.delivery is None or request.is_replay:
            await self._write(reading, request, sender)
            return
        key, now_ms = (sender.source, request.label, reading.delivery), request.received_at_ms
        if not await self._deliveries.begin(key, now_ms):
            reading.verdicts = [Deduplicated(getattr(verdict, "id", None)) for verdict in reading.verdicts]
            self._metrics.counted(sender.source, Counts(deduplicated=len(reading.verdicts)))
            return
        is_stored = False
        try:
            await self._write(reading, request, sender)
            is_stored = True
        finally:
            self._deliveries.end(key, now_ms, is_stored=is_stored)

    async def store_refused(self, request: Request, refusal: RequestError, source: str, *, has_key: bool) -> None:
        """Write the dead letter of a request that is refused whole, and count one rejected event. Raises
        SinkUnavailableError where its sender should send it again."""
        payload = request.body if refusal.payload is None else refusal.payload
        try:
            dead_letter = self._records.dead_letter(payload, request, source, refusal.reason, refusal.message)
            if has_key:
                await self._put_dead_letter(dead_letter, source)
            elif not is_replayed(request) and self._may_write_keyless():  # a replay is a dead letter already
                await self._sink.put([dead_letter])
        except SinkUnavailableError:
            if has_key:
                raise
        self._metrics.counted(source, Counts(rejected=[refusal.reason]))

    async def _write(self, reading: Reading, request: Request, sender: Sender) -> None:
        """Put everything on Kafka, events and dead letters, then count it."""
        needs_order = sender.scope is Scope.HISTORICAL or b"x-funnelcast-sequence" in request.headers
        records, counts = self._records.records(reading, request, sender.source, all_claims=needs_order)
        if counts.rejected:
            self._check_limit(sender.source, len(counts.rejected))
        try:
            await self._sink.put(records, needs_order=needs_order)
        except SinkUnavailableError:
            self._metrics.add("events_unacknowledged", counts.events)
            raise
        if counts.claims and not needs_order:
            self._records.stored(reading, request)
        if counts.rejected:
            self._limit.add(sender.source, dead_letters=len(counts.rejected), now_ms=self._now_ms())
        self._metrics.counted(sender.source, counts)

    async def _put_dead_letter(self, dead_letter: Outgoing, source: str) -> None:
        self._check_limit(source, 1)
        try:
            await self._sink.put([dead_letter])
        except SinkUnavailableError:
            self._metrics.add("events_unacknowledged")
            raise
        self._limit.add(source, dead_letters=1, now_ms=self._now_ms())

    def _check_limit(self, source: str, dead_letters: int) -> None:
        """Raises SinkUnavailableError where the source has written too many dead letters lately."""
        try:
            self._limit.check(source, dead_letters=dead_letters, now_ms=self._now_ms())
        except SinkUnavailableError:
            self._metrics.add("dead_letters_held", dead_letters, (source,))
            raise

    def _may_write_keyless(self) -> bool:
        second, count = self._keyless
        now = self._now_ms() // 1000
        if now != second:
            second, count = now, 0
        self._keyless = (second, count + 1)
        return count < _KEYLESS_PER_SECOND
