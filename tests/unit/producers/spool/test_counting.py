"""A crash between Kafka's acknowledgement and the spool's cursor writes records twice; they are counted once."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Sender
from producers.sink.port import Outgoing
from producers.spool.sink import SpoolSink
from schemas.funnel.load import load_funnel
from streams.report.document.counters import build_document, canonical_json
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.support.spooling import Log, drained, settings, spooling
from tests.support.waiting import until

START = 1_735_725_600_000
FUNNEL = load_funnel("sales")


def outgoing(number: int) -> Outgoing:
    """One of some persons' impressions, clicks and payments."""
    ingest, person = Ingest(), number % 7
    name = ("impression", "click", "payment")[number // 7 % 3]
    at = START + number * 1_000
    raw = (
        f'{{"id":"e{number}","name":"{name}","anonymous_id":"v{person}","occurred_at_ms":{at},'
        f'"properties":{{"order_id":"o{number}","value":"9.90","currency":"EUR"}}}}'
    )
    verdict = ingest.native(raw.encode(), sender=Sender(), received_at_ms=at)
    assert isinstance(verdict, Accepted)
    return Outgoing("t", 0, verdict.key, verdict.value, verdict.received_at_ms)


async def counted(records: list[Outgoing]) -> bytes:
    """The counters document of a log."""
    space = MemorySpace()
    processor = PartitionProcessor(MemoryPartitionStore(space), 0, [FUNNEL])
    await processor.claim()
    log = [LogRecord(one.key, one.value, one.timestamp_ms, offset) for offset, one in enumerate(records)]
    await processor.process(log, len(log))
    document = await build_document(MemoryCounterReader(space), FUNNEL)
    return canonical_json([document["counters"], document["input"]["accepted"], document["input"]["persons"]])


async def test_copies_of_a_crash_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(away="away")
    wanted = [outgoing(number) for number in range(60)]
    sink = await SpoolSink(log, settings(tmp_path)).__aenter__()
    for record in wanted:
        await sink.put([record])
    with monkeypatch.context() as patch:

        def crashes(place: object, records: int) -> None:
            raise OSError("the process is gone")

        patch.setattr(sink._files, "commit", crashes)
        log.away = None
        await until(lambda: len(log.records("t")) >= 2 * len(wanted))  # written, and written again, never committed
        await sink.abandon()
    async with spooling(log, tmp_path) as again:
        await until(drained(again))
    records = log.records("t")
    assert len(records) >= 3 * len(wanted)
    assert await counted(records) == await counted(wanted)
