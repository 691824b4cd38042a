"""Topics of a space: create what is missing, check what is there, delete them, tell what a log holds.

Never changes an existing topic.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from schemas.errors import BrokerUnavailableError, NeedsHumanError
from schemas.kafka import Kafka, KafkaServers, broker_error
from schemas.kafka_ending import stop_consumer
from schemas.times import DAY_MS, HOUR_MS
from schemas.topics import DEFAULT_PARTITIONS, Retention, Topics
from streams.transport.cursor import topic_missing
from streams.transport.metadata import TopicIdentity, reports_end_offsets, topic_identity
from streams.transport.port import LogRange

UNLIMITED = "-1"
LONGEST_MS = str(2**63 - 1)
VISIBLE_SECONDS = 20.0
REQUEST_MS = 15_000
FETCH_MS = 2_000
_ALREADY_EXISTS = 36
_UNKNOWN_TOPIC = 3
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic after `ensure_topics`."""

    name: str
    partitions: int
    created: bool
    problems: tuple[str, ...] = ()
    """What is not as it should be, and what to do about it."""
    retention_ms: int | None = None
    """As it is now; None: without a limit, or the broker does not tell."""


def wanted_configs(
    topics: Topics, *, historical: bool, retention: Retention = Retention()
) -> dict[str, dict[str, str]]:
    """Configuration of each topic by name.

    In a live space the broker sets the times, so that no client's clock moves retention or the watermark's limit. In a
    historical space records have the times of their events: they are old from the start, so everything is kept. What it
    rejected was rejected now.
    """
    unlimited = {"cleanup.policy": "delete", "retention.ms": UNLIMITED}
    rejected = _retained(retention.rejected_ms)
    if historical:
        stamped = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": LONGEST_MS}
        others = {topics.late: dict(unlimited), topics.hooks: dict(unlimited), topics.journeys: dict(unlimited)}
        return {topics.events: unlimited | stamped, topics.rejected: rejected, **others}
    events = _retained(retention.events_ms) | {"message.timestamp.type": "LogAppendTime"}
    others = {
        topics.late: _retained(retention.late_ms),
        topics.hooks: _retained(retention.hooks_ms),
        topics.journeys: _retained(retention.journeys_ms),
    }
    return {topics.events: events, topics.rejected: rejected, **others}


def _retained(milliseconds: int) -> dict[str, str]:
    """Kafka deletes only whole segments: a segment of a day is gone a day after its time, not a week after."""
    segment_ms = min(DAY_MS, max(milliseconds // 7, HOUR_MS))
    return {"cleanup.policy": "delete", "retention.ms": str(milliseconds), "segment.ms": str(segment_ms)}


async def ensure_topics(
    kafka: Kafka,
    topics: Topics,
    *,
    partitions: int | None = None,
    historical: bool = False,
    retention: Retention = Retention(),
    replication: int = -1,
) -> list[TopicState]:
    """Create the missing topics, wait until the brokers show them, compare the others with what is wanted.

    `partitions` None: the default for a new space; for an existing one, what it has. Raises BrokerUnavailableError.
    """
    configs = wanted_configs(topics, historical=historical, retention=retention)
    async with _admin(kafka) as admin:
        before = {name: await topic_identity(admin._client, name) for name in topics.all()}
        events_before = before[topics.events]
        count = partitions or (events_before.partitions if events_before else DEFAULT_PARTITIONS)
        missing = [name for name in topics.all() if before[name] is None]
        new = [_new_topic(name, count, replication=replication, configs=configs[name]) for name in missing]
        await _create(admin, new)
        wanted = _Wanted(partitions, configs)
        return [await _state_of(admin, name, wanted=wanted, is_new=name in missing) for name in topics.all()]


class _Wanted(NamedTuple):
    partitions: int | None
    configs: dict[str, dict[str, str]]


async def _state_of(admin: AIOKafkaAdminClient, name: str, *, wanted: _Wanted, is_new: bool) -> TopicState:
    identity = await _visible(admin, name)
    actual = wanted.configs[name] if is_new else await _configs_of(admin, name)
    problems = [
        *_wrong_count(name, identity, partitions=wanted.partitions),
        *_wrong_settings(name, wanted=wanted.configs[name], actual=actual),
    ]
    retention_ms = int(actual.get("retention.ms", UNLIMITED))
    return TopicState(name, identity.partitions, is_new, tuple(problems), None if retention_ms < 0 else retention_ms)


async def check_topics(kafka: Kafka, topics: Topics, *, historical: bool = False) -> list[TopicState]:
    """The topics that are there, compared with what is wanted; one that is missing has 0 partitions. Creates nothing.
    Raises BrokerUnavailableError."""
    wanted = _Wanted(None, wanted_configs(topics, historical=historical))
    async with _admin(kafka) as admin:
        return [
            TopicState(name, 0, False, (f"{name} is missing: run `funnelcast topics create`",))
            if await topic_identity(admin._client, name) is None
            else await _state_of(admin, name, wanted=wanted, is_new=False)
            for name in topics.all()
        ]


async def delete_topics(kafka: Kafka, topics: Topics) -> None:
    """Delete the topics of a space; those that are not there are no error. Raises BrokerUnavailableError."""
    async with _admin(kafka) as admin:
        answer: Any = await admin.delete_topics(list(topics.all()), timeout_ms=REQUEST_MS)
        for name, code, *_ in answer.topic_error_codes:
            if code not in (0, _UNKNOWN_TOPIC):
                raise BrokerUnavailableError(f"topic {name} could not be deleted: Kafka error {code}")


async def log_range_of(kafka: Kafka, topic: str, *, partition: int) -> LogRange:
    """First and next offset of a partition's log, as an operator's tool asks for it.

    Raises BrokerUnavailableError, NeedsHumanError where there is no such partition.
    """
    place = TopicPartition(topic, partition)
    servers = KafkaServers.of(kafka)
    consumer = AIOKafkaConsumer(**servers.client_options(), enable_auto_commit=False, request_timeout_ms=REQUEST_MS)
    try:
        await consumer.start()
        identity = await topic_identity(consumer._client, topic)
        if identity is None:
            raise topic_missing(topic)
        if partition >= identity.partitions:
            raise NeedsHumanError(f"topic {topic} has partitions 0 to {identity.partitions - 1}, not {partition}")
        start = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        if not reports_end_offsets(consumer._client):
            end = await _fetched_end(consumer, place, last=max(start, end))
        return LogRange(start, end)
    except (KafkaError, OSError, TimeoutError) as error:
        raise await broker_error(kafka, error, text=f"Kafka at {kafka}: {error!r}") from error
    finally:
        await stop_consumer(consumer)


async def _fetched_end(consumer: AIOKafkaConsumer, place: TopicPartition, *, last: int) -> int | None:
    """The end of the log as a fetch reports it: when asked for it, such a broker names the start of the last batch."""
    consumer.assign([place])
    consumer.seek(place, last)
    await consumer.getmany(place, timeout_ms=FETCH_MS)
    end: int | None = consumer.highwater(place)
    return end


@asynccontextmanager
async def _admin(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**KafkaServers.of(kafka).client_options(), request_timeout_ms=REQUEST_MS)
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError, TimeoutError) as error:
        raise await broker_error(kafka, error, text=f"Kafka at {kafka}: {error!r}") from error
    finally:
        await admin.close()


def _new_topic(name: str, partitions: int, *, replication: int, configs: dict[str, str]) -> NewTopic:
    topic = NewTopic(name, partitions, 1, topic_configs=configs)
    topic.replication_factor = replication  # -1: the broker's default; the constructor refuses it
    return topic


async def _create(admin: AIOKafkaAdminClient, new: Sequence[NewTopic]) -> None:
    if not new:
        return
    answer: Any = await admin.create_topics(list(new), timeout_ms=REQUEST_MS)
    for name, code, message, *_ in answer.topic_errors:
        if code not in (0, _ALREADY_EXISTS):
            raise NeedsHumanError(f"topic {name} could not be created: Kafka error {code} {message or ''}".rstrip())


async def _visible(admin: AIOKafkaAdminClient, name: str) -> TopicIdentity:
    deadline = time.monotonic() + VISIBLE_SECONDS
    while True:
        identity = None
        try:
            identity = await topic_identity(admin._client, name)
        except BrokerUnavailableError:
            if time.monotonic() > deadline:
                raise
        if identity is not None:
            return identity
        if time.monotonic() > deadline:
            raise BrokerUnavailableError(f"topic {name} was created, but no broker shows it yet")
        await asyncio.sleep(_POLL_SECONDS)


async def _configs_of(admin: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    answers: Any = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    return {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}


def _wrong_count(name: str, identity: TopicIdentity, *, partitions: int | None) -> Iterator[str]:
    if partitions is not None and identity.partitions != partitions:
        yield (
            f"{name} has {identity.partitions} partitions, not {partitions}: the count is fixed for the life of a "
            "space; use another --space"
        )


def _wrong_settings(name: str, *, wanted: dict[str, str], actual: dict[str, str]) -> Iterator[str]:
    for setting in ("message.timestamp.type", "cleanup.policy"):
        if setting in wanted and setting in actual and actual[setting] != wanted[setting]:
            yield (
                f"{name}: {setting} is {actual[setting]}, expected {wanted[setting]}: change it with kafka-configs, or "
                "use another --space"
            )
