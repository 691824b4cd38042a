"""Logs of one partition as the collector and the ticker write them."""

from __future__ import annotations

import msgspec

from schemas.record import EventRecord, encode_event, encode_tick
from streams.worker.partition import LogRecord

START = 1_735_725_600_000
MINUTE = 60_000


def event(
    offset: int, name: str, person: str, time_ms: int, *, received: int | None = None, **properties: str
) -> LogRecord:
    """An event record of the log."""
    received = time_ms if received is None else received
    record = EventRecord(
        id=f"e{offset}",
        name=name,
        occurred_at_ms=time_ms,
        received_at_ms=received,
        source="web",
        anonymous_id=person,
        properties=msgspec.Raw(msgspec.json.encode(properties)),
    )
    return LogRecord(f"a:{person}".encode(), encode_event(record), received, offset)


def tick(offset: int, time_ms: int, marker: str | None = None) -> LogRecord:
    """A tick record of the log."""
    return LogRecord(None, encode_tick(time_ms, marker=marker), time_ms, offset)


def history(persons: int) -> list[LogRecord]:
    """Every person sees an advertisement, half of them click; then a day passes."""
    log: list[LogRecord] = []
    for i in range(persons):
        log.append(event(len(log), "impression", f"v{i}", START + i, channel=f"c{i % 3}"))
        if i % 2:
            log.append(event(len(log), "click", f"v{i}", START + i + 1))
    log.append(tick(len(log), START + 24 * 60 * MINUTE, "end"))
    return log
