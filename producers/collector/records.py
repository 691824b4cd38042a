"""From the verdicts of a request to records for Kafka: events, hooks, ticks, dead letters, and what to count for them.

Decides partitions and headers; writes nothing itself.
"""

from __future__ import annotations

from producers.collector.known_claims import KnownClaims
from producers.collector.metrics import Counts
from producers.dead_letters.record import encode_dead_letter
from producers.formats.port import Reading, Request
from producers.ingest.limits import Limits
from producers.ingest.verdicts import Accepted, Claim, Deduplicated, Deferred, Rejected, Ticked
from producers.sink.port import Outgoing, Sink, partition_for
from schemas.reasons import RejectReason
from schemas.topics import Topics
from schemas.traffic import HUMAN


class RecordBuilder:
    """Makes the records of one space."""

    def __init__(self, sink: Sink, topics: Topics, limits: Limits) -> None:
        self._partitions_of = sink.partitions_of
        self._topics = topics
        self._limits = limits
        self._dead_letter_number = 0
        self._known_claims = KnownClaims()

    def records(
        self, reading: Reading, request: Request, source: str, *, all_claims: bool = False
    ) -> tuple[list[Outgoing], Counts]:
        """What goes on Kafka, in the request's order, and what is counted when it is there (`stored`). `all_claims`:
        also those that the log has. Raises SinkUnavailableError while the number of partitions is not known."""
        topic = self._topics.events
        partitions = self._partitions_of(topic)
        records: list[Outgoing] = []
        counts = Counts(repairs=request.repairs)
        for raw, verdict in zip(reading.elements, reading.verdicts, strict=True):
            if isinstance(verdict, Accepted):
                partition = partition_for(verdict.key, partitions)
                records.append(Outgoing(topic, partition, verdict.key, verdict.value, verdict.received_at_ms))
                if verdict.claims:
                    claims = verdict.claims if all_claims else self._new_claims(verdict, request.received_at_ms)
                    for claim in claims:
                        at = partition_for(claim.key, partitions)
                        records.append(Outgoing(topic, at, claim.key, claim.value, verdict.received_at_ms))
                    counts.linking += 1
                    counts.claims += len(claims)
                counts.accepted += 1
                if verdict.is_odd:
                    _count_oddities(counts, verdict)
            elif isinstance(verdict, Rejected):
                records.append(self.dead_letter(raw, request, source, verdict.reason, verdict.detail))
                counts.rejected.append(verdict.reason)
            elif isinstance(verdict, Deferred):
                records.append(self._hook(verdict, request.received_at_ms))
                counts.accepted += 1
            elif isinstance(verdict, Deduplicated):
                counts.deduplicated += 1
            else:
                records += self._ticks(verdict, partitions)
                counts.ticks += 1
        return records, counts

    def _new_claims(self, verdict: Accepted, now_ms: int) -> list[Claim]:
        known, higher = self._known_claims, verdict.key or b""
        return [claim for claim in verdict.claims if not claim.is_in_time or not known.has(claim.key, higher, now_ms)]

    def stored(self, reading: Reading, request: Request) -> None:
        """All records of a request are on Kafka: what it claims need not be claimed again."""
        for verdict in reading.verdicts:
            if isinstance(verdict, Accepted) and verdict.key is not None:
                for claim in self._new_claims(verdict, request.received_at_ms) if verdict.claims else ():
                    if claim.is_in_time:
                        self._known_claims.admit(claim.key, verdict.key, request.received_at_ms)

    def _ticks(self, tick: Ticked, partitions: int) -> list[Outgoing]:
        return [Outgoing(self._topics.events, number, None, tick.value, tick.tick_ms) for number in range(partitions)]

    def _hook(self, verdict: Deferred, received_at_ms: int) -> Outgoing:
        topic = self._topics.hooks
        partition = partition_for(verdict.key, self._partitions_of(topic))
        return Outgoing(topic, partition, verdict.key, verdict.value, received_at_ms)

    def dead_letter(self, raw: bytes, request: Request, source: str, reason: RejectReason, detail: str) -> Outgoing:
        """The dead letter of what was refused; dead letters are spread evenly over the partitions."""
        topic = self._topics.rejected
        value = encode_dead_letter(
            reason=reason,
            detail=detail,
            source=source,
            route=request.label,
            received_at_ms=request.received_at_ms,
            payload=raw,
            keep_bytes=self._limits.dead_letter_bytes,
            headers={name: request.headers[name] for name in request.dead_letter_headers if name in request.headers},
        )
        self._dead_letter_number += 1
        partition = self._dead_letter_number % self._partitions_of(topic)
        headers = (("reason", reason.value.encode()),)
        return Outgoing(topic, partition, None, value, request.received_at_ms, headers)


def _count_oddities(counts: Counts, verdict: Accepted) -> None:
    counts.clamped += verdict.was_clamped
    counts.placeholder_ids += verdict.placeholder_ids
    counts.repairs += verdict.repairs
    counts.late += verdict.is_late
    if verdict.traffic != HUMAN:
        counts.traffic[verdict.traffic] = counts.traffic.get(verdict.traffic, 0) + 1
    counts.unknown_names += not verdict.is_known
