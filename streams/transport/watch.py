"""Is the topic still the one the cursors belong to? Asked on a connection of its own.

The consumer's connection answers a fetch before anything that is asked after it, which may take the whole fetch wait.
"""

from __future__ import annotations

import asyncio

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from schemas.errors import BrokerUnavailableError
from schemas.kafka import Kafka
from streams.transport.cursor import partitions_changed, topic_deleted, topic_recreated
from streams.transport.metadata import TopicIdentity, connect, topic_identity

ANSWER_SECONDS = 5.0


class TopicWatch:
    """Compares the topic with what it was at start. Used from one loop."""

    def __init__(self, kafka: Kafka, topic: str, known: TopicIdentity) -> None:
        self._kafka = kafka
        self._topic = topic
        self._known = known
        self._client: AIOKafkaClient | None = None
        self._busy = asyncio.Lock()

    async def verify(self) -> None:
        """Return when the topic is unchanged. Raises NeedsHumanError with what to do, BrokerUnavailableError when it
        cannot be known now."""
        async with self._busy:
            now = await self._ask()
        if now is None:
            raise topic_deleted(self._topic)
        if now == self._known:
            return
        if (now.cluster_id, now.topic_id) == (self._known.cluster_id, self._known.topic_id):
            raise partitions_changed(self._topic, before=self._known.partitions, now=now.partitions)
        raise topic_recreated(self._topic, before=self._known.topic_id, now=now.topic_id)

    async def close(self) -> None:
        """Give the connection back."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _ask(self) -> TopicIdentity | None:
        try:
            if self._client is None:
                self._client = await connect(self._kafka, timeout=ANSWER_SECONDS)
            return await topic_identity(self._client, self._topic, timeout=ANSWER_SECONDS)
        except (BrokerUnavailableError, KafkaError, OSError) as error:
            await self.close()
            raise BrokerUnavailableError(str(error)) from error
