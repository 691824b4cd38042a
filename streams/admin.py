"""Topics of a space: create what is missing, check what is there, delete them, say what a log holds.

Never changes an existing topic.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from schemas.errors import BrokerUnavailableError, NeedsHumanError
from schemas.times import DAY_MS, HOUR_MS
from schemas.topics import DEFAULT_PARTITIONS, Retention, Topics
from streams.transport.cursor import topic_missing
from streams.transport.metadata import TopicIdentity, reports_end_offsets, topic_identity
from streams.transport.port import LogRange

FOR_EVER = "-1"
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
    """What is not as it should be, each with what to do."""
    retention_ms: int | None = None
    """As it is now; None for ever, or where the broker does not say."""


def wanted_configs(
    topics: Topics, *, historical: bool, retention: Retention = Retention()
) -> dict[str, dict[str, str]]:
    """Configuration of each topic by name.

    A live space is stamped by the broker, so that no client clock moves retention or the watermark's clamp. A
    historical one carries the times of its events: they are old from the start, so it keeps everything; what it
    rejected was rejected now.
    """
    forever = {"cleanup.policy": "delete", "retention.ms": FOR_EVER}
    rejected = _kept(retention.rejected_ms)
    if historical:
        stamped = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": LONGEST_MS}
        others = {topics.late: dict(forever), topics.hooks: dict(forever)}
        return {topics.events: forever | stamped, topics.rejected: rejected, **others}
    events = _kept(retention.events_ms) | {"message.timestamp.type": "LogAppendTime"}
    others = {topics.late: _kept(retention.late_ms), topics.hooks: _kept(retention.hooks_ms)}
    return {topics.events: events, topics.rejected: rejected, **others}


def _kept(milliseconds: int) -> dict[str, str]:
    """Kafka deletes whole segments only: a segment of a day is gone a day after its time, not a week."""
    segment_ms = min(DAY_MS, max(milliseconds // 7, HOUR_MS))
    return {"cleanup.policy": "delete", "retention.ms": str(milliseconds), "segment.ms": str(segment_ms)}


async def ensure_topics(
    kafka: str,
    topics: Topics,
    *,
    partitions: int | None = None,
    historical: bool = False,
    retention: Retention = Retention(),
    replication: int = -1,
) -> list[TopicState]:
    """Create the missing topics, wait until the brokers show them, compare the others with what is wanted.

    `partitions` None: the default for a new space, whatever an existing one has. Raises BrokerUnavailableError.
    """
    configs = wanted_configs(topics, historical=historical, retention=retention)
    async with _admin(kafka) as admin:
        before = {name: await topic_identity(admin._client, name) for name in topics.all()}
        events_before = before[topics.events]
        count = partitions or (events_before.partitions if events_before else DEFAULT_PARTITIONS)
        missing = [name for name in topics.all() if before[name] is None]
        await _create(admin, [_new_topic(name, count, replication, configs[name]) for name in missing])
        states = []
        for name in topics.all():
            identity = await _visible(admin, name)
            actual = configs[name] if name in missing else await _configs_of(admin, name)
            problems = _differences(name, identity, partitions, configs[name], actual)
            keeps = int(actual.get("retention.ms", FOR_EVER))
            states.append(
                TopicState(name, identity.partitions, name in missing, problems, None if keeps < 0 else keeps)
            )
        return states


async def delete_topics(kafka: str, topics: Topics) -> None:
    """Delete the topics of a space; those that are not there are no error. Raises BrokerUnavailableError."""
    async with _admin(kafka) as admin:
        answer: Any = await admin.delete_topics(list(topics.all()), timeout_ms=REQUEST_MS)
        for name, code, *_rest in answer.topic_error_codes:
            if code not in (0, _UNKNOWN_TOPIC):
                raise BrokerUnavailableError(f"topic {name} could not be deleted: Kafka error {code}")


async def log_range_of(kafka: str, topic: str, partition: int) -> LogRange:
    """First and next offset of a partition's log, as an operator's tool asks for it.

    Raises BrokerUnavailableError, NeedsHumanError where there is no such partition.
    """
    at = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.split(","), enable_auto_commit=False, request_timeout_ms=REQUEST_MS
    )
    try:
        await consumer.start()
        identity = await topic_identity(consumer._client, topic)
        if identity is None:
            raise topic_missing(topic)
        if partition >= identity.partitions:
            raise NeedsHumanError(f"topic {topic} has partitions 0 to {identity.partitions - 1}, not {partition}")
        start = (await consumer.beginning_offsets([at]))[at]
        end = (await consumer.end_offsets([at]))[at]
        if not reports_end_offsets(consumer._client):
            end = await _fetched_end(consumer, at, max(start, end))
        return LogRange(start, end)
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailableError(f"Kafka at {kafka}: {error!r}") from error
    finally:
        await consumer.stop()


async def _fetched_end(consumer: AIOKafkaConsumer, at: TopicPartition, last: int) -> int | None:
    """Where the log ends as a fetch tells: such a broker names the start of the last batch when it is asked."""
    consumer.assign([at])
    consumer.seek(at, last)
    await consumer.getmany(at, timeout_ms=FETCH_MS)
    end: int | None = consumer.highwater(at)
    return end


@asynccontextmanager
async def _admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.split(","), request_timeout_ms=REQUEST_MS)
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailableError(f"Kafka at {kafka}: {error!r}") from error
    finally:
        await admin.close()


def _new_topic(name: str, partitions: int, replication: int, configs: dict[str, str]) -> NewTopic:
    topic = NewTopic(name, partitions, 1, topic_configs=configs)
    topic.replication_factor = replication  # -1: the broker's default; the constructor refuses it
    return topic


async def _create(admin: AIOKafkaAdminClient, new: Sequence[NewTopic]) -> None:
    if not new:
        return
    answer: Any = await admin.create_topics(list(new), timeout_ms=REQUEST_MS)
    for name, code, message, *_rest in answer.topic_errors:
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
    return {entry[0]: entry[1] for answer in answers for found in answer.resources for entry in found[4]}


def _differences(
    name: str, identity: TopicIdentity, partitions: int | None, wanted: dict[str, str], actual: dict[str, str]
) -> tuple[str, ...]:
    problems = []
    if partitions is not None and identity.partitions != partitions:
        problems.append(
            f"{name} has {identity.partitions} partitions, not {partitions}: the count is fixed for the life of a "
            "space; use another --space"
        )
    for setting in ("message.timestamp.type", "cleanup.policy"):
        if setting in wanted and setting in actual and actual[setting] != wanted[setting]:
            problems.append(
                f"{name}: {setting} is {actual[setting]}, expected {wanted[setting]}: change it with kafka-configs, or "
                "use another --space"
            )
    return tuple(problems)
