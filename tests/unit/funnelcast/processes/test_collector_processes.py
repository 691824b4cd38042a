"""Several processes of one collector: who answers for whom, what outlives a process, whose port it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from funnelcast.processes.collector_processes import reserved_port
from funnelcast.processes.ports import free_port
from producers.collector.metrics import CollectorMetrics, Counts
from producers.collector.peers import Peers
from producers.sink.port import MemorySink, SinkUnavailableError
from schemas.errors import PortTakenError
from schemas.reasons import RejectReason


class Process:
    """What one process holds."""

    def __init__(self, directory: Path, index: int, count: int = 3) -> None:
        self.sink = MemorySink()
        self.metrics = CollectorMetrics(pending=lambda: index, is_up=lambda: self.sink.trouble is None)
        self.peers = Peers(directory, index=index, count=count, metrics=self.metrics, sink=self.sink)

    def count(self, accepted: int, rejected: int = 0) -> None:
        self.metrics.counted("web", Counts(accepted=accepted, rejected=[RejectReason.MISSING_ID] * rejected))
        self.metrics.answered("/v1/events", 200, 0.003)

    async def shown(self) -> dict[str, float]:
        await self.peers.count_all()
        return values(self.metrics)


def values(metrics: CollectorMetrics) -> dict[str, float]:
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            name = sample.name.removeprefix("funnelcast_collector_")
            values[name] = values.get(name, 0) + sample.value
    return values


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        processes = [Process(tmp_path, index) for index in range(3)]
        for process in processes:
            await stack.enter_async_context(process.peers)
        yield processes


async def test_whoever_is_asked_answers_for_all(processes: list[Process]) -> None:
    for number, process in enumerate(processes, 1):
        process.count(number, rejected=1)
    for process in processes:
        shown = await process.shown()
        assert shown["events_received_total"] == 9
        assert shown["events_total"] == 9
        assert shown["requests_total"] == 3
        assert shown["request_seconds_count"] == 3
        assert shown["request_seconds_sum"] == pytest.approx(0.009)
        assert shown["pending_records"] == 0 + 1 + 2
        assert shown["up"] == 1


async def test_one_without_kafka_is_trouble_for_all(processes: list[Process]) -> None:
    assert await processes[0].peers.trouble() is None
    processes[2].sink.failure = SinkUnavailableError("away", 5)
    assert await processes[0].peers.trouble() == "worker 2: away"
    assert (await processes[0].shown())["up"] == 0


async def test_counters_that_were_seen_outlive_their_process(tmp_path: Path) -> None:
    first, second = Process(tmp_path, 0, 2), Process(tmp_path, 1, 2)
    async with first.peers:
        second_running = await AsyncExitStack().enter_async_context(second.peers)
        first.count(1)
        second.count(10, rejected=2)
        assert (await first.shown())["events_total"] == 13
        second.count(100)  # nobody saw these
        assert second_running._server is not None
        second_running._server.close()  # killed: it writes nothing down any more
        (tmp_path / "worker-1.sock").unlink()
        assert await first.peers.trouble() == "worker 1 does not answer"
        shown = await first.shown()
        assert shown["events_total"] == shown["events_received_total"] == 13
        assert shown["pending_records"] == 0  # nothing is pending in a process that is gone
        third = Process(tmp_path, 1, 2)
        async with third.peers:
            third.count(1)
            shown = await first.shown()
            assert shown["events_total"] == shown["events_received_total"] == 14
            assert shown["request_seconds_count"] == 3
            assert await first.peers.trouble() is None


async def test_a_process_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.collector.peers._ANSWER_SECONDS", 0.05)
    process = Process(tmp_path, 0, 2)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with process.peers, await asyncio.start_unix_server(say_nothing, tmp_path / "worker-1.sock"):
        assert await process.peers.trouble() == "worker 1 does not answer"


def test_a_port_in_use_is_refused_as_without_workers() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(PortTakenError, match=f"cannot listen on 127.0.0.1:{port}") as caught,
            reserved_port("127.0.0.1", port),
        ):
            pass
    assert caught.value.exit_code == 2


def test_the_reserved_port_can_be_shared_by_listeners() -> None:
    for wanted in (0, free_port()):
        with reserved_port("127.0.0.1", wanted) as port:
            assert wanted in (0, port)
            listeners = [socket.create_server(("127.0.0.1", port), reuse_port=True) for _ in range(2)]
            for listener in listeners:
                listener.close()
