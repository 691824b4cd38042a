"""What a worker waits for before it joins its group: the broker with the topic, and the store that belongs to both.

Waits within bounds and decides nothing else; `app` goes on from here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from schemas.errors import BrokerUnavailableError
from schemas.funnel.definition import definition_text
from schemas.kafka import KafkaServers
from streams.store.port import PartitionStore, StoreUnavailableError
from streams.transport.cursor import topic_missing
from streams.transport.metadata import TopicIdentity, check_group, connect, reports_end_offsets, topic_identity
from streams.worker.settings import WorkerSettings

TOPIC_SECONDS = 10.0
"""How long a topic may take to show up: it may just be being created."""
RETRY_SECONDS = 0.25


async def find_topic(settings: WorkerSettings, deadline: float) -> tuple[TopicIdentity, bool]:
    """(which topic this is, whether its broker is the embedded one)."""
    until = time.monotonic() + TOPIC_SECONDS
    while True:
        try:
            identity, is_embedded = await _ask(settings, deadline)
            if identity is not None:
                return identity, is_embedded
            if time.monotonic() > min(until, deadline):
                raise topic_missing(settings.topics.events)
        except BrokerUnavailableError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(RETRY_SECONDS)


async def _ask(settings: WorkerSettings, deadline: float) -> tuple[TopicIdentity | None, bool]:
    client = await connect(settings.kafka, timeout=max(1.0, deadline - time.monotonic()))
    try:
        identity = await topic_identity(client, settings.topics.events)
        if "security_protocol" in KafkaServers.of(settings.kafka).client_options():
            await check_group(client, settings.topics.group)
        return identity, not reports_end_offsets(client)
    finally:
        await client.close()


async def bind_space(
    store: PartitionStore,
    settings: WorkerSettings,
    *,
    identity: TopicIdentity,
    deadline: float,
    trouble: Callable[[], str | None],
) -> None:
    """Bind the space to this topic and these definitions, or refuse. `trouble` says what is wrong with the store."""
    fingerprints = {funnel.funnel_id: funnel.fingerprint for funnel in settings.funnels}
    try:
        async with asyncio.timeout(max(1.0, deadline - time.monotonic())):
            await store.check_topic(settings.topics.events, identity.text)
            await store.check_funnels(fingerprints)
            await store.describe({funnel.funnel_id: definition_text(funnel) for funnel in settings.funnels})
    except TimeoutError:
        raise StoreUnavailableError(
            f"{trouble() or 'Redis does not answer'}; check --redis, then start the worker again"
        ) from None
