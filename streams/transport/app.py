"""The Faust application around the batch consumer: one topic, one agent; no tables, no web and no producer of Faust.

Composed by `streams.worker`; holds no counting and no store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.app.base import BootStrategy
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.transport.drivers import aiokafka as driver

from schemas.errors import BrokerUnavailableError
from schemas.kafka import Kafka, KafkaServers
from schemas.topics import Topics
from streams.transport.consumer import BatchConsumer
from streams.transport.members import MemberFiles
from streams.transport.metadata import TopicIdentity
from streams.transport.port import Batch, BatchHost
from streams.transport.schema import BatchSchema
from streams.transport.thread import Tuning
from streams.transport.watch import TopicWatch


class _Transport(driver.Transport):
    Consumer = BatchConsumer


class _Boot(BootStrategy):
    """No Faust producer: what a worker sends out goes through `streams.transport.publisher`."""

    enable_kafka_producer = False
    enable_web = False


class StreamApp(faust.App):
    """A Faust app whose consumer hands over batches."""

    BootStrategy = _Boot

    host: BatchHost
    tuning: Tuning
    events_topic: str
    watch: TopicWatch
    members: MemberFiles

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)


KAFKA_SESSION_SECONDS = 10.0
"""Apache Kafka refuses less than 6 (group.min.session.timeout.ms)."""
EMBEDDED_SESSION_SECONDS = 3.0
"""The embedded broker refuses none, and lets every join wait for half of it."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How to join the group and read."""

    kafka: Kafka
    topics: Topics
    data_dir: Path
    tuning: Tuning
    session_seconds: float = KAFKA_SESSION_SECONDS
    """A worker that dies is replaced after this."""
    heartbeat_seconds: float = 0.5
    """A worker that leaves is replaced after this: the others learn of it with their next heartbeat."""
    rebalance_seconds: float = 10.0
    max_poll_records: int = 10_000
    max_partition_fetch_bytes: int = 1024 * 1024
    metadata_seconds: float = 30.0
    max_poll_seconds: float = 120.0
    """A worker whose main loop stands still this long loses its partitions."""


def build_stream(
    settings: StreamSettings,
    host: BatchHost,
    *,
    identity: TopicIdentity,
    deliver: Callable[[list[Batch]], Awaitable[None]],
) -> StreamApp:
    """The app with its one agent. `deliver` takes the batches of a poll; exceptions from it end the process."""
    app = _new_app(settings)
    app.host, app.tuning, app.events_topic = host, settings.tuning, settings.topics.events
    app.watch = TopicWatch(settings.kafka, settings.topics.events, identity)
    app.members = MemberFiles(settings.data_dir / "members" / settings.topics.group)
    topic = app.topic(
        settings.topics.events, schema=BatchSchema(), key_serializer="raw", value_serializer="raw", acks=False
    )

    async def funnel(stream: Any) -> None:
        async for batches in stream:
            await deliver(batches)

    app.agent(topic, name="funnel")(funnel)
    return app


def _new_app(settings: StreamSettings) -> StreamApp:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    servers = KafkaServers.of(settings.kafka)
    return StreamApp(
        settings.topics.group,
        broker=";".join(f"kafka://{address}" for address in servers.addresses),
        broker_credentials=_credentials(servers.client_options()),
        datadir=str(settings.data_dir),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        consumer_auto_offset_reset="none",
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=settings.heartbeat_seconds,
        broker_rebalance_timeout=settings.rebalance_seconds,
        broker_request_timeout=max(40.0, settings.session_seconds),
        broker_max_poll_interval=settings.max_poll_seconds,
        broker_max_poll_records=settings.max_poll_records,
        consumer_max_fetch_size=settings.max_partition_fetch_bytes,
        consumer_metadata_max_age_ms=int(settings.metadata_seconds * 1000),
        broker_commit_interval=5.0,
        stream_wait_empty=False,
        stream_buffer_maxsize=8,
        worker_redirect_stdouts=False,
        agent_supervisor="mode.supervisors.CrashingSupervisor",
    )


def _credentials(options: Mapping[str, Any]) -> Any:
    """TLS and login as Faust takes them; None for neither."""
    protocol, context = options.get("security_protocol", "PLAINTEXT"), options.get("ssl_context")
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return SSLCredentials(context)
    if (tokens := options.get("sasl_oauth_token_provider")) is not None:
        return OAuthCredentials(oauth_cb=tokens, ssl_context=context)
    return SASLCredentials(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        mechanism=options["sasl_mechanism"],
        ssl_context=context,
    )


async def start_stream(app: StreamApp, seconds: float) -> None:
    """Start the app. Raises BrokerUnavailableError when the broker does not let it within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await app.start()
    except (KafkaError, ConnectionError, TimeoutError) as error:
        raise not_joined(app.conf.id, repr(error)) from error


def not_joined(group: str, why: str) -> BrokerUnavailableError:
    """Sentence for a start without an assignment."""
    return BrokerUnavailableError(
        f"no assignment from group {group} in time ({why}): is the broker overloaded, or --session-timeout below its "
        "group.min.session.timeout.ms?"
    )
