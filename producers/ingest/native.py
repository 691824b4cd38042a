"""What is particular to native events: the rules of their times and sources, and ticks. Pure."""

from __future__ import annotations

from producers.ingest.event import Arrival, NativeEvent
from producers.ingest.limits import Limits
from producers.ingest.times import MAX_MS, parse_time_ms
from producers.ingest.verdicts import DEFAULT_SOURCE, RefusedError, Scope, Sender, SequenceNumber, Ticked
from schemas.reasons import RejectReason
from schemas.record import encode_tick


def arrival_of(
    event: NativeEvent,
    sender: Sender,
    limits: Limits,
    *,
    received_at_ms: int | None,
    sequence: SequenceNumber | None,
) -> Arrival:
    """A sender of the scope historical may state when an event was received, and its source. Raises RefusedError."""
    occurred_at_ms = event.occurred_at_ms
    if occurred_at_ms is None and event.occurred_at is not None:
        occurred_at_ms = _time_of(event.occurred_at)
    if sender.scope is Scope.HISTORICAL:
        received_at_ms = _stated_reception(event, occurred_at_ms, received_at_ms)
    elif occurred_at_ms is not None and not limits.earliest_ms <= occurred_at_ms <= MAX_MS:
        _check_time("occurred_at_ms", occurred_at_ms)
        raise RefusedError(
            RejectReason.INVALID_TIME,
            f"occurred_at_ms {occurred_at_ms} lies before 2000; write milliseconds since 1970, not seconds",
        )
    if received_at_ms is None:
        raise RefusedError(RejectReason.INVALID_TIME, "occurred_at_ms is missing")
    if occurred_at_ms is None:
        occurred_at_ms = received_at_ms
    source = sender.source
    if event.source is not None and sender.scope is Scope.HISTORICAL:
        source = _source_of(event.source, limits)
    return Arrival(occurred_at_ms, received_at_ms, source, False, sequence)


def tick_of(event: NativeEvent, sender: Sender, sequence: SequenceNumber | None) -> Ticked:
    """A line that moves the watermark. Raises RefusedError."""
    if sender.scope is not Scope.HISTORICAL:
        raise RefusedError(RejectReason.NOT_ALLOWED, "a tick needs a write key of the scope historical")
    assert event.tick is not None  # noqa: S101 - the caller looked
    _check_time("tick", event.tick)
    return Ticked(event.tick, encode_tick(event.tick, marker=event.marker, seq=sequence))


def _source_of(source: str, limits: Limits) -> str:
    source = source.strip()
    if not source:
        return DEFAULT_SOURCE
    if len(source) > limits.source_chars:
        raise RefusedError(RejectReason.NAME_TOO_LONG, f"source is longer than {limits.source_chars} characters")
    return source


def _time_of(text: str) -> int:
    milliseconds = parse_time_ms(text)
    if milliseconds is None:
        raise RefusedError(
            RejectReason.INVALID_TIME,
            f"occurred_at {text[:64]!r} is no time; write RFC 3339, e.g. 2025-01-01T10:00:00Z",
        )
    return milliseconds


def _check_time(member: str, milliseconds: int) -> None:
    if not 0 <= milliseconds <= MAX_MS:
        raise RefusedError(RejectReason.INVALID_TIME, f"{member} {milliseconds} is no time in milliseconds since 1970")


def _stated_reception(event: NativeEvent, occurred_at_ms: int | None, received_at_ms: int | None) -> int | None:
    """When a historical event was received: as it says, else when it occurred."""
    if occurred_at_ms is not None:
        _check_time("occurred_at_ms", occurred_at_ms)
    if event.received_at_ms is not None:
        _check_time("received_at_ms", event.received_at_ms)
        return event.received_at_ms
    return received_at_ms if occurred_at_ms is None else occurred_at_ms
