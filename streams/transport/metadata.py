"""Which topic this is: cluster id, topic id and partition count in one Metadata v12 request, which aiokafka lacks.

A topic that was deleted and created again has the same name and other records. Only its id tells.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from schemas.errors import BrokerUnavailableError, NeedsHumanError
from schemas.kafka import Kafka, KafkaRefusedError, KafkaServers, broker_error, is_right_missing, right_missing

_UNKNOWN_TOPIC = 3
_NOT_AUTHORIZED = 29
_GROUP = 0
ANSWER_SECONDS = 5.0
_NO_UUID = uuid.UUID(int=0)
_TRUSTED_APIS = frozenset({23, 35, 37})
"""OffsetForLeaderEpoch, DescribeLogDirs, CreatePartitions: every Apache Kafka announces them. The embedded broker does
not, and its ListOffsets(LATEST) answers with the start of the last batch."""


class _Uuid(AbstractType[uuid.UUID]):
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS)),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        _TAGS,
                    ),
                ),
                ("operations", Int32),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _MetadataRequest(RequestStruct):
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _TEXT), _TAGS)),
        ("auto_create", Boolean),
        ("operations", Boolean),
        _TAGS,
    )


class _TopicIds(Request[_MetadataRequest]):
    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        return request_struct_class([(_NO_UUID, topic, {}) for topic in self._topics], False, False, {})


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """What makes a log this log and no other."""

    cluster_id: str
    topic_id: str
    partitions: int

    @property
    def text(self) -> str:
        """As stored beside the cursors."""
        return f"{self.cluster_id}/{self.topic_id}/{self.partitions}"


async def topic_identity(client: AIOKafkaClient, topic: str, *, timeout: float = 10.0) -> TopicIdentity | None:
    """Identity of a topic, None where the broker does not know it.

    Raises BrokerUnavailableError when no answer came, NeedsHumanError from a broker that does not report topic ids
    (older than Apache Kafka 2.8): without them a recreated topic would be counted as the old one.
    """
    try:
        node = client.get_random_node()
        if node is None:
            raise BrokerUnavailableError("no Kafka broker is known yet")
        answer: Any = await asyncio.wait_for(client.send(node, _TopicIds([topic])), timeout)
    except (KafkaError, OSError, TimeoutError) as error:
        if type(error).__name__ == "IncompatibleBrokerVersion":
            raise NeedsHumanError(
                "the Kafka broker does not report topic ids (Metadata v12): use Apache Kafka 2.8 or newer"
            ) from error
        raise BrokerUnavailableError(f"Kafka did not answer: {error!r}") from error
    return _identity(answer, topic)


def _identity(answer: Any, topic: str) -> TopicIdentity | None:
    for error, name, topic_id, _internal, partitions, _operations, _tags in answer.topics:
        if name != topic:
            continue
        if error == _UNKNOWN_TOPIC:
            return None
        if error == _NOT_AUTHORIZED:
            raise KafkaRefusedError(
                f"Kafka does not let this user see topic {topic} (TOPIC_AUTHORIZATION_FAILED): it lacks the rights "
                "that docs/operations.md, Kafka, names for this process"
            )
        if error or not partitions:
            raise BrokerUnavailableError(f"topic {topic}: metadata error {error}, try again")
        if topic_id == _NO_UUID:
            raise NeedsHumanError(f"the Kafka broker reports no id for topic {topic}: use Apache Kafka 2.8 or newer")
        return TopicIdentity(answer.cluster_id, topic_id.hex, len(partitions))
    return None


async def check_group(client: AIOKafkaClient, group: str) -> None:
    """Raises KafkaRefusedError where this user may not see the group. Faust would wait for an assignment in silence."""
    try:
        await asyncio.wait_for(client.coordinator_lookup(_GROUP, group), ANSWER_SECONDS)
    except (KafkaError, OSError, TimeoutError) as error:
        if is_right_missing(error):
            raise right_missing(error, f"group {group}") from error


def reports_end_offsets(client: AIOKafkaClient) -> bool:
    """Whether the broker's end offsets can be trusted. True unless a connected broker shows it is none of Apache's."""
    announced = [set(conn._versions) for conn in client._conns.values() if getattr(conn, "_versions", None)]
    return not announced or any(apis & _TRUSTED_APIS for apis in announced)


async def connect(kafka: Kafka, *, timeout: float) -> AIOKafkaClient:
    """A bootstrapped client (close it). Raises BrokerUnavailableError, KafkaRefusedError."""
    client = AIOKafkaClient(**KafkaServers.of(kafka).client_options(), request_timeout_ms=10_000)
    try:
        await asyncio.wait_for(client.bootstrap(), timeout)
    except (KafkaError, OSError, TimeoutError) as error:
        await client.close()
        raise await broker_error(kafka, error, text=f"no Kafka broker answers at {kafka}: {error}") from error
    return client
