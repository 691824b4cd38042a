"""The spooling sink: whatever was acknowledged comes out of the log, in order, through any row of outages and kills."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from producers.sink.port import RecordsRefusedError, SinkUnavailableError
from producers.spool import files as spool_files
from producers.spool import writer as spool_writer
from producers.spool.files import SpoolBusyError
from producers.spool.settings import directory_of, leftovers_of
from producers.spool.sink import SpoolSink
from tests.support.rows import rows
from tests.support.spooling import Log, drained, records, settings, spooling
from tests.support.thorough import cases
from tests.support.waiting import LIMIT, until

TOPICS = ("t",)


async def test_while_kafka_is_there_nothing_touches_the_disk(tmp_path: Path) -> None:
    log = Log()
    async with spooling(log, tmp_path) as sink:
        await sink.put(records("a", "b"))
        assert (sink.trouble, sink.note, sink.state().spooled) == (None, None, 0)
    assert log.values() == ["a", "b"]
    assert [name for name in os.listdir(tmp_path) if name.endswith(".spool")] == []


async def test_an_outage_is_answered_from_disk_and_drained_in_order(tmp_path: Path) -> None:
    log = Log()
    async with spooling(log, tmp_path) as sink:
        await sink.put(records("a"))
        log.away = "nobody there"
        for value in "bcd":
            await sink.put(records(value, value * 2))
        assert log.values() == ["a"]
        assert sink.trouble is None
        assert sink.note == "spooling: nobody there"
        assert sink.outage == "nobody there"
        state = sink.state()
        assert (state.records, state.spooled, state.drained) == (6, 6, 0)
        assert state.bytes > 0
        assert state.oldest_ms is not None
        log.away = None
        await until(drained(sink))
        await sink.put(records("e"))
        assert sink.state()[1:4] == (0, 0, None)
    assert log.values() == ["a", "b", "bb", "c", "cc", "d", "dd", "e"]


async def test_a_put_that_fails_half_way_goes_to_the_disk_whole(tmp_path: Path) -> None:
    log = Log(fail_next=1)
    async with spooling(log, tmp_path) as sink:
        await sink.put(records("a", "b", "c"))
        await until(drained(sink))
    assert log.values() == ["a", "a", "b", "c"]  # a copy, never a hole


async def test_new_requests_go_behind_what_is_not_drained_yet(tmp_path: Path) -> None:
    log = Log(away="away")
    async with spooling(log, tmp_path) as sink:
        await sink.put(records("a"))
        log.hold, log.away = asyncio.Event(), None
        puts = log.puts
        await until(lambda: log.puts > puts)  # the spool's record is on its way to Kafka
        later = asyncio.create_task(sink.put(records("b")))
        await until(lambda: sink.state().spooled == 2)
        log.hold.set()
        await later
        await until(drained(sink))
    assert log.values() == ["a", "b"]


async def test_it_hands_over_while_requests_never_pause(tmp_path: Path) -> None:
    log = Log(away="away")
    sent = 0
    is_over = False

    async def client(sink: SpoolSink, partition: int) -> None:
        nonlocal sent
        number = 0
        while not is_over:
            await sink.put(records(str(number), partition=partition))
            number, sent = number + 1, sent + 1

    async with spooling(log, tmp_path) as sink:
        clients = [asyncio.create_task(client(sink, partition)) for partition in range(4)]
        await until(lambda: sent > 100)
        log.away = None
        await until(drained(sink))
        direct = sent
        await until(lambda: sent > direct + 100)
        assert sink.state().spooled < sent
        is_over = True
        await asyncio.gather(*clients)
    for partition in range(4):
        values = [int(value) for value in log.values(partition)]
        assert values == list(range(len(values)))
    assert sum(len(log.values(partition)) for partition in range(4)) == sent


async def test_one_sync_serves_all_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []
    monkeypatch.setattr(spool_files, "sync", syncs.append)
    log = Log(away="away")
    async with spooling(log, tmp_path) as sink:
        await asyncio.gather(*(sink.put(records(str(n))) for n in range(200)))
        assert len(syncs) <= 3
        log.away = None
        await until(drained(sink))
    assert log.values() == [str(n) for n in range(200)]


async def test_a_full_spool_says_so_and_takes_again_when_it_is_drained(tmp_path: Path) -> None:
    log = Log(away="away")
    async with spooling(log, tmp_path, limit_bytes=2_000) as sink:
        taken = 0
        with contextlib.suppress(SinkUnavailableError):
            while taken < 1_000:
                await sink.put(records(f"{taken:0100}"))
                taken += 1
        with pytest.raises(SinkUnavailableError, match="full") as caught:
            await sink.put(records(f"{taken:0100}"))
        assert caught.value.retry_after_seconds >= 1
        assert "full" in str(sink.trouble)
        assert sink.state().bytes <= 2_000
        log.away = None
        await until(drained(sink))
        assert sink.trouble is None
        await sink.put(records("last"))
    assert len(log.values()) == taken + 1


async def test_what_waits_for_a_slow_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(spool_files, "sync", lambda descriptor: goes_on.wait(LIMIT))
    monkeypatch.setattr(spool_writer, "QUEUE_BYTES", 1_000)
    log = Log(away="away")
    async with spooling(log, tmp_path) as sink:
        waiting = [asyncio.create_task(sink.put(records("x" * 400))) for _ in range(2)]
        await until(lambda: sink.pending == 2)
        with pytest.raises(SinkUnavailableError, match="waiting for the disk"):
            await sink.put(records("x" * 400))
        goes_on.set()
        await asyncio.gather(*waiting)
        log.away = None
        await until(drained(sink))
    assert len(log.values()) == 2


async def test_senders_who_need_the_order_of_the_log_are_never_left_on_disk(tmp_path: Path) -> None:
    log = Log(away="away")
    async with spooling(log, tmp_path) as sink:
        with pytest.raises(SinkUnavailableError, match="away"):
            await sink.put(records("a"), needs_order=True)
        assert sink.state().records == 0


async def test_a_disk_that_fails_is_answered_with_503_until_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(away="away")
    async with spooling(log, tmp_path) as sink:
        with monkeypatch.context() as patch:

            def fails(descriptor: int) -> None:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

            patch.setattr(spool_files, "sync", fails)
            with pytest.raises(SinkUnavailableError, match="cannot be written"):
                await sink.put(records("a"))
            assert "cannot be written" in (sink.trouble or "")
        await sink.put(records("b"))
        assert sink.trouble is None
        log.away = None
        await until(drained(sink))
    assert log.values() == ["b"]


async def test_what_kafka_will_never_take_is_refused_at_once_or_set_aside(tmp_path: Path) -> None:
    log = Log(refused=b"huge")
    async with spooling(log, tmp_path) as sink:
        with pytest.raises(RecordsRefusedError):
            await sink.put(records("huge"))
        assert sink.state().spooled == 0
        log.fail_next = 0
        log.away = "away"
        for value in ("a", "huge", "b", "huge", "c"):
            await sink.put(records(value))
        log.away = None
        await until(drained(sink))
        assert sink.state().quarantined_bytes > 0
    assert list(dict.fromkeys(log.values())) == ["a", "b", "c"]


async def test_the_number_of_partitions_is_known_while_kafka_is_away(tmp_path: Path) -> None:
    log = Log(is_known=False, away="away")
    async with spooling(log, tmp_path) as sink:
        with pytest.raises(SinkUnavailableError):
            sink.partitions_of("t")
        assert sink.trouble == "away"  # never reached: nobody knows where an event would go
        log.is_known, log.away = True, None
        await until(lambda: (tmp_path / "partitions.json").exists())
        log.is_known, log.away = False, "away"
        assert sink.partitions_of("t") == 4
    async with spooling(log, tmp_path) as sink:
        assert sink.partitions_of("t") == 4
        assert sink.trouble is None


async def test_records_for_other_partitions_than_there_are_now_wait_for_a_human(tmp_path: Path) -> None:
    log = Log(away="away")
    async with spooling(log, tmp_path) as sink:
        assert sink.partitions_of("t") == 4
        await sink.put(records("a"))
        log.partitions, log.away = 8, None
        await until(lambda: sink.trouble is not None)
        assert "8 partitions" in (sink.trouble or "")
        with pytest.raises(SinkUnavailableError):
            sink.partitions_of("t")
        log.partitions = 4
        await until(drained(sink))
        assert sink.trouble is None
    assert log.values() == ["a"]


async def test_closing_drains_what_kafka_takes_and_keeps_the_rest(tmp_path: Path) -> None:
    log = Log(away="away")
    async with spooling(log, tmp_path) as sink:
        await sink.put(records("a"))
    assert log.values() == []
    log.away = None
    async with spooling(log, tmp_path):
        pass
    assert log.values() == ["a"]


async def test_one_collector_for_each_directory(tmp_path: Path) -> None:
    async with spooling(Log(), tmp_path):
        with pytest.raises(SpoolBusyError):
            await SpoolSink(Log(), settings(tmp_path)).__aenter__()


async def test_spools_of_collectors_that_are_no_more_are_drained_too(tmp_path: Path) -> None:
    log = Log(away="away")
    for index in (0, 1, 2):
        async with spooling(log, directory_of(tmp_path, index)) as sink:
            await sink.put(records(f"of {index}"))
    log.away = None
    left = leftovers_of(tmp_path, of=1)
    assert [one.name for one in left] == ["worker-1", "worker-2"]
    async with spooling(log, directory_of(tmp_path, 0), leftovers=left):
        await until(lambda: not any(one.exists() for one in left))
    assert sorted(log.values()) == ["of 0", "of 1", "of 2"]


async def test_a_spool_for_other_partitions_is_left_where_it_is(tmp_path: Path) -> None:
    log = Log()
    async with spooling(log, directory_of(tmp_path, 1)) as sink:
        await until(lambda: (directory_of(tmp_path, 1) / "partitions.json").exists())
        log.away = "away"
        await sink.put(records("a"))
    log.away, log.partitions = None, 8
    async with spooling(log, directory_of(tmp_path, 0), leftovers=leftovers_of(tmp_path, of=1)) as sink:
        await until(lambda: sink._tasks[-1].done())
        await sink.put(records("b"))
    assert log.values() == ["b"]
    assert [one.name for one in leftovers_of(tmp_path, of=1)] == ["worker-1"]


@dataclass
class Sent:
    """One client of one partition: sends its next number until it is acknowledged."""

    partition: int
    number: int = 0
    tries: int = 0
    acknowledged: list[int] = field(default_factory=list)

    async def run(self, sink: SpoolSink) -> None:
        while True:
            number = self.number
            self.tries += 1
            try:
                await sink.put(records(str(number), f"{number}+", partition=self.partition))
            except SinkUnavailableError:
                await asyncio.sleep(0.001)
                continue
            self.acknowledged.append(number)
            self.number += 1


@rows("seed", range(cases(8, few=3)))
async def test_no_row_of_outages_and_kills_loses_or_reorders_what_was_acknowledged(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    log = Log()
    clients = [Sent(partition) for partition in range(4)]
    for _ in range(6):
        sink = await SpoolSink(log, settings(tmp_path, limit_bytes=60_000, segment_bytes=5_000)).__aenter__()
        running = [asyncio.create_task(one.run(sink)) for one in clients]
        for _ in range(rng.randrange(1, 6)):
            log.away = rng.choice([None, "away"])
            log.fail_next = rng.choice([0, 0, 1, 5])
            await _more_tries(clients, rng.randrange(20))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await sink.abandon()
        _tear(tmp_path, rng)
    log.away, log.fail_next = None, 0
    async with spooling(log, tmp_path) as sink:
        await until(drained(sink))
    for client in clients:
        _check(client, log.values(client.partition))
    assert sum(len(one.acknowledged) for one in clients) > 50


async def _more_tries(clients: Sequence[Sent], more: int) -> None:
    wanted = sum(one.tries for one in clients) + more
    await until(lambda: sum(one.tries for one in clients) >= wanted, every=0.001)


def _tear(directory: Path, rng: random.Random) -> None:
    """What a crash may leave behind the last sync."""
    newest = max(directory.glob("*.spool"), default=None)
    if newest is not None and rng.random() < 0.5:
        with newest.open("ab") as file:
            file.write(rng.randbytes(rng.randrange(200)))


def _check(client: Sent, values: list[str]) -> None:
    """All there, the first copies in order: a copy of n never comes first behind a later number."""
    first: dict[str, int] = {}
    for at, value in enumerate(values):
        first.setdefault(value, at)
    wanted = [text for number in client.acknowledged for text in (str(number), f"{number}+")]
    places = [first[value] for value in wanted]
    assert places == sorted(places)
