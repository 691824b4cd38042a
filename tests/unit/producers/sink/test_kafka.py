"""The Kafka sink against a producer that does what the test says: order, bounds, outages, a producer that is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    RequestTimedOutError,
)

from producers.sink.connection import SinkSettings
from producers.sink.kafka import KafkaSink
from producers.sink.port import Outgoing, RecordsRefusedError, SinkUnavailableError
from schemas.kafka import KafkaRefusedError, KafkaServers
from tests.support.waiting import LIMIT, until


class Batch:
    """Room for `size` records."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.values: list[bytes] = []

    def append_all(self, records: list[Outgoing]) -> int:
        fitting = records[: self.size - len(self.values)]
        self.values += [one.value for one in fitting]
        return len(fitting)

    def close(self) -> None:
        pass


@dataclass
class Broker:
    """What producers of one test write to. `hold` keeps acknowledgements back, `errors` come first."""

    size: int = 100
    logs: dict[int, list[bytes]] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    hold: bool = False
    held: list[tuple[asyncio.Future[None], int, Batch]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    leaders: dict[int, int] = field(default_factory=dict)
    """By partition; without an entry each partition has a leader of its own."""
    refuse_connections: int = 0
    producers: int = 0

    def producer(self, **options: Any) -> Producer:
        self.producers += 1
        return Producer(self)

    def let_go(self) -> None:
        self.hold = False
        for future, partition, batch in self.held:
            self.write(partition, batch)
            if not future.done():
                future.set_result(None)
        self.held.clear()

    def write(self, partition: int, batch: Batch) -> None:
        self.logs.setdefault(partition, []).extend(batch.values)
        self.batches.append(len(batch.values))


@dataclass
class Producer:
    broker: Broker
    is_stopped: bool = False

    async def start(self) -> None:
        if self.broker.refuse_connections:
            self.broker.refuse_connections -= 1
            raise KafkaConnectionError("nobody there")

    async def stop(self) -> None:
        self.is_stopped = True

    @property
    def client(self) -> Producer:
        return self

    async def fetch_all_metadata(self) -> Producer:
        return self

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {0, 1, 2, 3} if topic == "t" else None

    async def partitions_for(self, topic: str) -> set[int]:
        return {0, 1, 2, 3}

    def node_of(self, topic: str, partition: int) -> int:
        return self.broker.leaders.get(partition, partition)

    def create_batch(self, expected_bytes: int) -> Batch:
        return Batch(self.broker.size)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.broker.errors:
            future.set_exception(self.broker.errors.pop(0))
        elif self.broker.hold:
            self.broker.held.append((future, partition, batch))
        else:
            self.broker.write(partition, batch)
            future.set_result(None)
        return future


def records(*values: str, partition: int = 0) -> list[Outgoing]:
    return [Outgoing("t", partition, b"k", value.encode(), 1) for value in values]


def settings_for(*topics: str) -> SinkSettings:
    return SinkSettings(bootstrap="x", topics=topics, linger_ms=1, ack_seconds=10, is_idempotent=True)


@asynccontextmanager
async def connected(broker: Broker, **options: Any) -> AsyncIterator[KafkaSink]:
    settings = replace(settings_for("t"), **options)
    async with KafkaSink(settings, new_producer=broker.producer) as sink:
        await until(lambda: sink.trouble is None)
        yield sink


async def test_requests_of_one_partition_share_a_batch_and_keep_their_order() -> None:
    broker = Broker()
    async with connected(broker, linger_ms=20) as sink:
        await asyncio.gather(
            sink.put(records("a1", "a2")), sink.put(records("b1") + records("b2", partition=1)), sink.put(records("c1"))
        )
    assert broker.logs == {0: [b"a1", b"a2", b"b1", b"c1"], 1: [b"b2"]}
    assert broker.batches == [4, 1]


async def test_what_comes_while_a_broker_is_busy_waits_for_company() -> None:
    broker = Broker(hold=True, leaders={0: 1, 1: 1, 2: 1, 3: 3})
    async with connected(broker) as sink:
        first = asyncio.create_task(sink.put(records("a")))
        await until(lambda: len(broker.held) == 1)
        later = [
            asyncio.create_task(sink.put(records(text, partition=at))) for at, text in ((1, "b"), (1, "c"), (3, "d"))
        ]
        await until(lambda: len(broker.held) == 2)  # the leader of 3 is free
        assert [partition for _, partition, _ in broker.held] == [0, 3]
        broker.let_go()
        await asyncio.gather(first, *later)
    assert broker.logs == {0: [b"a"], 1: [b"b", b"c"], 3: [b"d"]}
    assert broker.batches == [1, 1, 2]


async def test_a_first_event_does_not_wait() -> None:
    broker = Broker()
    async with connected(broker, linger_ms=60_000) as sink:
        await sink.put(records("a"))
    assert broker.logs == {0: [b"a"]}


async def test_a_request_larger_than_a_batch_is_split_in_order() -> None:
    broker = Broker(size=3)
    async with connected(broker) as sink:
        await sink.put(records(*"abcdefgh"))
        assert sink.pending == 0
    assert broker.logs[0] == [letter.encode() for letter in "abcdefgh"]
    assert broker.batches == [3, 3, 2]


async def test_an_outage_ends_in_503_and_then_it_goes_on_by_itself() -> None:
    broker = Broker(hold=True)
    async with connected(broker, ack_seconds=0.1) as sink:
        with pytest.raises(SinkUnavailableError) as caught:
            await sink.put(records("a"))
        assert caught.value.retry_after_seconds >= 1
        await until(lambda: sink.trouble is not None)
        with pytest.raises(SinkUnavailableError):  # at once, without waiting again
            await sink.put(records("b"))
        assert sink.pending == 0
        broker.let_go()
        await until(lambda: sink.trouble is None)
        await sink.put(records("c"))
    assert broker.logs[0] == [b"a", b"c"]


async def test_what_waits_behind_a_request_that_was_given_up_is_not_written() -> None:
    broker = Broker(hold=True, size=1)
    async with connected(broker, ack_seconds=0.2) as sink:
        with pytest.raises(SinkUnavailableError):
            await sink.put(records("a", "b", "c"))
        broker.let_go()
        await until(lambda: sink.trouble is None)
        await sink.put(records("d"))
    assert broker.logs[0] == [b"a", b"d"]  # never a hole: not "a", "c"


async def test_after_a_failed_batch_nothing_more_of_its_requests_is_written() -> None:
    broker = Broker(size=1, errors=[RequestTimedOutError()])
    async with connected(broker, is_idempotent=False) as sink:
        with pytest.raises(SinkUnavailableError):
            await sink.put(records("a", "b", "c"))
        await sink.put(records("d"))
    assert broker.logs[0] == [b"d"]
    assert broker.producers == 1


async def test_what_waits_is_bounded_in_number_and_bytes() -> None:
    broker = Broker(hold=True)
    async with connected(broker, pending_records=3, pending_bytes=1_000) as sink:
        waiting = asyncio.create_task(sink.put(records("a", "b")))
        await until(lambda: sink.pending == 2)
        with pytest.raises(SinkUnavailableError, match="too much"):
            await sink.put(records("c", "d"))
        with pytest.raises(SinkUnavailableError, match="too much"):
            await sink.put(records("e" * 1_000))
        broker.let_go()
        await waiting
        await sink.put(records(*"fghijk"))  # one request alone may be as large as it is
    assert sink.pending == 0


async def test_a_lost_producer_is_replaced() -> None:
    broker = Broker(errors=[OutOfOrderSequenceNumber()])
    async with connected(broker) as sink:
        with pytest.raises(SinkUnavailableError):
            await sink.put(records("a"))
        await until(lambda: broker.producers == 2 and sink.trouble is None)
        await sink.put(records("b"))
    assert broker.logs[0] == [b"b"]
    assert sink.reconnects == 1


async def test_it_keeps_trying_to_connect() -> None:
    broker = Broker(refuse_connections=2)
    settings = settings_for("t")
    async with KafkaSink(settings, new_producer=broker.producer) as sink:
        assert sink.trouble
        with pytest.raises(SinkUnavailableError):
            await sink.put(records("a"))
        with pytest.raises(SinkUnavailableError):
            sink.partitions_of("t")
        await until(lambda: sink.trouble is None)
        assert sink.partitions_of("t") == 4
        await sink.put(records("b"))
    assert broker.producers == 3


async def test_it_closes_while_a_failed_connection_is_cleaned_up() -> None:
    """A cancellation that comes as a cleaned-up producer is left may be lost: there must be no further try."""
    cleaning, cleaned = asyncio.Event(), asyncio.Event()

    class Refused(Producer):
        async def stop(self) -> None:
            cleaning.set()
            await cleaned.wait()

    broker = Broker(refuse_connections=1_000)
    async with asyncio.timeout(LIMIT):
        async with KafkaSink(settings_for("t"), new_producer=lambda **_: Refused(broker)):
            await cleaning.wait()
            cleaned.set()


async def test_a_missing_topic_is_waited_for_and_named() -> None:
    broker = Broker()
    settings = settings_for("t", "funnelcast.x.rejected")
    async with KafkaSink(settings, new_producer=broker.producer) as sink:
        await until(lambda: "funnelcast topics create" in (sink.trouble or ""))
        assert "funnelcast.x.rejected" in (sink.trouble or "")


async def test_closing_waits_for_what_is_under_way_within_a_bound() -> None:
    broker = Broker(hold=True)
    async with connected(broker) as sink:
        waiting = asyncio.create_task(sink.put(records("a")))
        await until(lambda: bool(broker.held))
        closing = asyncio.create_task(sink.close(seconds=LIMIT))
        await until(lambda: sink.trouble == "shutting down")
        with pytest.raises(SinkUnavailableError):
            await sink.put(records("b"))
        broker.let_go()
        await waiting
        await closing
    stuck = Broker(hold=True)
    async with connected(stuck) as sink:
        waiting = asyncio.create_task(sink.put(records("a")))
        await until(lambda: bool(stuck.held))
        await sink.close(seconds=0.05)
        with pytest.raises(SinkUnavailableError):
            await waiting


async def test_what_the_topic_will_never_take_is_told_apart_from_an_outage() -> None:
    broker = Broker(errors=[MessageSizeTooLargeError()])
    async with connected(broker) as sink:
        with pytest.raises(RecordsRefusedError, match="MessageSizeTooLarge"):
            await sink.put(records("a"))
        await until(lambda: broker.producers == 2 and sink.trouble is None)
        await sink.put(records("b"))
    assert broker.logs[0] == [b"b"]


@dataclass
class Refusing:
    """Security of a client that the brokers refuse while `why` is set."""

    why: str | None
    variables: dict[str, str] = field(default_factory=dict)

    def client_options(self) -> dict[str, Any]:
        return {"security_protocol": "SASL_SSL"}

    async def refusal(self, addresses: Sequence[str]) -> str | None:
        return self.why

    async def doubt(self, addresses: Sequence[str]) -> str | None:
        return None


async def test_a_refused_login_is_told_before_the_first_connection_and_only_then() -> None:
    broker, security, told = Broker(refuse_connections=1), Refusing("the login is refused"), list[KafkaRefusedError]()
    settings = replace(settings_for("t"), bootstrap=KafkaServers(("b:1",), security))
    async with KafkaSink(settings, new_producer=broker.producer, on_refused=told.append) as sink:
        await until(lambda: told)
        assert str(told[0]) == "Kafka at b:1 cannot be used: the login is refused"
        await until(lambda: sink.trouble is None)
        broker.errors, broker.refuse_connections = [OutOfOrderSequenceNumber()], 1
        with pytest.raises(SinkUnavailableError):
            await sink.put(records("a"))
        await until(lambda: broker.producers == 4)
        await until(lambda: sink.trouble is None)
    assert len(told) == 1
