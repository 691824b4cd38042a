"""What is published in several batches: in the order of the records, whatever fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from streams.core.outgoing import Outgoing, OutgoingKind
from streams.transport import publisher as module
from streams.transport.publisher import TopicPublisher

BATCH_BYTES = 1000


class LosingProducer:
    """Writes a batch when it is sent, but for those that `losses` names by their number."""

    def __init__(self, losses: set[int]) -> None:
        self.losses = losses
        self.log: list[bytes] = []
        self._sent = 0

    async def partitions_for(self, topic: str) -> set[int]:
        return {0}

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(BATCH_BYTES, 0)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[None]:
        self._sent += 1
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._sent in self.losses:
            acknowledged.set_exception(KafkaTimeoutError())
        else:
            self.log += [record.value or b"" for record in DefaultRecordBatch(bytes(batch._build()))]
            acknowledged.set_result(None)
        return acknowledged


async def test_a_batch_is_not_written_before_one_ahead_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver drops a forward with a lower number than one that it has: out of order, events would be lost."""
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0)
    producer = LosingProducer({1, 3})
    publisher = TopicPublisher("127.0.0.1:9", {OutgoingKind.FORWARD: "events"})
    publisher._producer = producer  # type: ignore[assignment]
    values = [b"%04d" % number * 100 for number in range(8)]
    await publisher.publish([Outgoing(OutgoingKind.FORWARD, b"u:ann", value, ()) for value in values])
    assert list(dict.fromkeys(producer.log)) == values
