"""The chain of batches, and the private parts of Faust and aiokafka that the transport overrides or sets."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver

from schemas.errors import BrokerUnavailableError
from streams.transport.chain import Chain
from streams.transport.consumer import BatchConsumer
from streams.transport.cursor import check_cursor, find_problem
from streams.transport.port import LogRange
from tests.support.rows import rows


def records(first: int, last: int) -> list[Any]:
    """Fetched records with offsets first..last-1."""
    return [SimpleNamespace(offset=offset) for offset in range(first, last)]


class Rig:
    """A consumer without Faust around it: the chain, a log range, and where it was sent back to."""

    def __init__(self, start: int = 0) -> None:
        bare: Any = BatchConsumer
        self.consumer = bare.__new__(bare)
        self.chain = Chain(placement_id=1, next=10)
        self.rewound: list[int] = []
        self.fatal: list[Exception] = []
        self.consumer._chains = {0: self.chain}
        self.consumer._has_refused = False
        self.consumer.app = SimpleNamespace(host=SimpleNamespace(on_fatal=self.fatal.append), events_topic="events")
        self.start = start
        self.consumer.log_range = self._log_range
        self.consumer._seek_to = self._seek_to

    async def _log_range(self, partition: int) -> LogRange:
        return LogRange(self.start, 100)

    async def _seek_to(self, partition: int, offset: int) -> None:
        self.rewound.append(offset)

    async def take(self, first: int, last: int, placement_before: int = 1) -> tuple[int, int] | None:
        batch = await self.consumer._chained(0, records(first, last), placement_before=placement_before)
        return None if batch is None else (batch.prev, batch.next)


async def test_a_fetch_that_continues_the_chain_is_handed_over() -> None:
    rig = Rig()
    assert await rig.take(10, 15) == (10, 15)
    assert await rig.take(15, 16) == (15, 16)
    assert rig.rewound == []


async def test_a_fetch_that_a_seek_overtook_is_asked_for_again() -> None:
    rig = Rig()
    assert await rig.take(40, 45, placement_before=0) is None
    assert rig.rewound == [10]
    assert rig.chain.next == 10


async def test_a_fetch_that_lies_behind_is_asked_for_again() -> None:
    rig = Rig()
    assert await rig.take(3, 12) is None
    assert rig.rewound == [10]


async def test_a_hole_is_asked_for_again_and_believed_the_second_time() -> None:
    rig = Rig()
    assert await rig.take(12, 15) is None
    assert rig.rewound == [10]
    assert await rig.take(12, 15) == (10, 15)
    assert rig.fatal == []


async def test_a_hole_below_the_start_of_the_log_is_lost_records() -> None:
    rig = Rig(start=12)
    assert await rig.take(12, 15) is None
    assert await rig.take(12, 15) is None
    assert "2 records were deleted" in str(rig.fatal[0])
    assert rig.chain.next == 10


async def test_a_partition_that_is_not_placed_hands_over_nothing() -> None:
    rig = Rig()
    rig.consumer._chains = {}
    assert await rig.take(10, 12) is None
    assert rig.rewound == []


@rows(
    ("cursor", "start", "end", "is_fine"),
    [(5, 0, 10, True), (0, 0, 0, True), (10, 0, 10, True), (4, 5, 10, False), (11, 0, 10, False), (11, 0, None, True)],
)
def test_a_cursor_must_lie_in_the_log(cursor: int, start: int, end: int | None, is_fine: bool) -> None:
    assert (check_cursor("t", partition=0, cursor=cursor, log_range=LogRange(start, end)) is None) is is_fine


async def test_an_end_of_the_log_that_comes_right_is_no_problem() -> None:
    answers = [LogRange(0, 5), LogRange(0, 9)]

    async def ask(partition: int) -> LogRange:
        return answers.pop(0)

    assert await find_problem(ask, "t", partition=0, cursor=8) is None
    assert answers == []


async def test_a_broker_that_does_not_answer_is_not_a_problem_of_the_log() -> None:
    async def ask(partition: int) -> LogRange:
        raise BrokerUnavailableError("away")

    with pytest.raises(BrokerUnavailableError):
        await find_problem(ask, "t", partition=0, cursor=8)


def test_what_is_overridden_in_faust_is_still_there() -> None:
    assert version("faust-streaming") == "0.15.3"
    for name in (
        "perform_seek",
        "getmany",
        "_wait_next_records",
        "_getmany",
        "_get_active_partitions",
        "on_partitions_revoked",
        "on_partitions_assigned",
        "pause_partitions",
        "resume_partitions",
        "verify_event_path",
        "_add_gap",
        "commit",
        "ack",
    ):
        assert callable(getattr(driver.Consumer, name)), name
    for name in ("_create_worker_consumer", "getmany", "_fetch_records", "_seek_wait", "_ensure_consumer", "close"):
        assert callable(getattr(driver.AIOKafkaConsumerThread, name)), name
    assert "self._read_offset.__getitem__" in inspect.getsource(Consumer._drain_messages)


def test_what_is_set_in_aiokafka_is_still_there() -> None:
    source = inspect.getsource(AIOKafkaConsumer.__init__) + inspect.getsource(AIOKafkaConsumer.start)
    for name in ("_fetch_min_bytes", "_fetch_max_wait_ms", "_partition_assignment_strategy"):
        assert source.count(f"self.{name}") >= 2, f"{name} is set at creation and used at start"
    for method in (GroupCoordinator.close, GroupCoordinator._heartbeat_routine):
        assert "self._maybe_leave_group()" in inspect.getsource(method)
    request = inspect.getsource(GroupCoordinator._maybe_leave_group)
    assert "LeaveGroupRequest(self.group_id, self.member_id)" in request
    for name in ("_client", "_coordinator"):
        assert f"self.{name} =" in source
