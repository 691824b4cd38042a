"""The newest records of a space as people read them: who sent what, and which stage of which funnel takes it.

Reads Kafka; commits and joins nothing, so that nobody's progress is moved. The rules are the core's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from producers.dead_letters.record import DeadLetter
from schemas.errors import UsageError
from schemas.funnel.model import Funnel
from schemas.kafka import Kafka, KafkaServers, broker_error
from schemas.kafka_ending import stop_consumer
from schemas.topics import Topics
from schemas.traffic import traffic_of
from streams.core.decode import Decoder
from streams.core.match import Matcher
from streams.core.plan import LOST, ORDER, REFUND, RESTATED, VOID, WITHDRAWN
from streams.core.planning import plan_of

NO_RULE: Final = "-"
_FETCH_MS: Final = 300
_NAMES: Final = {
    ORDER: "order",
    REFUND: "refund",
    WITHDRAWN: "order withdrawn",
    RESTATED: "order restated",
    VOID: "points",
}
_PERSON: Final = (("user_id", "user"), ("contact_id", "contact"), ("anonymous_id", "anonymous"))


@dataclass(frozen=True, slots=True)
class Line:
    """One event that arrived."""

    received_at_ms: int
    source: str
    person: str
    """`user:42`; empty for what has none."""
    name: str
    verdict: str
    """`accepted`, `late`, or `rejected: reason`."""
    stages: dict[str, str]
    """By funnel: the stage that takes it, `lost`, `refund`, ..., or `-` where no rule does."""


class Reader:
    """Reads records as the loaded funnels understand them."""

    def __init__(self, funnels: Sequence[Funnel]) -> None:
        plans = [plan_of(funnel) for funnel in funnels]
        self._decoder = Decoder(plans)
        self._funnels = [(funnel, Matcher(plan, self._decoder)) for funnel, plan in zip(funnels, plans, strict=True)]
        self._lateness_ms = max((funnel.allowed_lateness_ms for funnel in funnels), default=0)

    def accepted(self, value: bytes) -> Line | None:
        """Of a record of the events topic; None for ticks, links and what is no event."""
        try:
            plain = msgspec.json.decode(value)
            record = self._decoder.typed(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if not record.name or not isinstance(plain, dict):
            return None
        ids = (f"{label}:{plain[key]}" for key, label in _PERSON if plain.get(key))
        is_late = record.received_at_ms - record.occurred_at_ms > self._lateness_ms
        return Line(
            received_at_ms=record.received_at_ms,
            source=record.source,
            person=next(ids, ""),
            name=record.name,
            verdict="late" if is_late else "accepted",
            stages={funnel.funnel_id: self._stage(funnel, matcher, record=record) for funnel, matcher in self._funnels},
        )

    def rejected(self, value: bytes) -> Line | None:
        """Of a record of the topic of dead letters."""
        try:
            dead_letter = msgspec.json.decode(value, type=DeadLetter)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        try:
            sent = msgspec.json.decode(dead_letter.sent(), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            sent = {}
        name = sent.get("name") or sent.get("event") or ""
        return Line(
            received_at_ms=dead_letter.received_at_ms,
            source=dead_letter.source,
            person="",
            name=name if isinstance(name, str) else "",
            verdict=f"rejected: {dead_letter.reason}",
            stages={},
        )

    def _stage(self, funnel: Funnel, matcher: Matcher, *, record: Any) -> str:
        if funnel.sources is not None and record.source not in funnel.sources:
            return f"left out: source {record.source}"
        rules = matcher.rules(record.name)
        match = None if rules is None else rules.fixed if rules.is_fixed else rules.classify(record.properties)
        if match is None:
            return NO_RULE
        if (traffic := traffic_of(record.properties.traffic)) not in funnel.traffic:
            return f"left out: {traffic}"
        if match.kind == LOST:
            return f"lost: {match.reason}" if match.reason else "lost"
        return _NAMES.get(match.kind) or funnel.stages[match.kind].name


async def lines(kafka: Kafka, topics: Topics, *, reader: Reader, back: int) -> AsyncIterator[Line | None]:
    """What arrives from now on, after the `back` newest records of every partition; None when there is nothing more.
    Raises FunnelcastError."""
    servers = KafkaServers.of(kafka)
    consumer = AIOKafkaConsumer(
        **servers.client_options(), enable_auto_commit=False, auto_offset_reset="latest", fetch_max_wait_ms=_FETCH_MS
    )
    try:
        await consumer.start()
        known = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - to ask by name could create a topic
        partitions = [
            TopicPartition(topic, number)
            for topic in (topics.events, topics.rejected)
            for number in known.partitions_for_topic(topic) or ()
        ]
        if not partitions:
            raise UsageError(f"there is no topic {topics.events}; is the --space right?")
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition, end in ends.items():
            consumer.seek(partition, max(0, end - back))
        while True:
            batches = await consumer.getmany(timeout_ms=_FETCH_MS)
            records = [record for batch in batches.values() for record in batch]
            for record in sorted(records, key=lambda each: each.timestamp):
                read = reader.accepted if record.topic == topics.events else reader.rejected
                if (line := read(record.value or b"")) is not None:
                    yield line
            if not records and all([await consumer.position(each) >= end for each, end in ends.items()]):
                yield None
    except (KafkaError, OSError, TimeoutError) as error:
        raise await broker_error(servers, error, text=f"Kafka at {servers}: {error!r}") from error
    finally:
        await stop_consumer(consumer)
