"""A consumer whose last fetch has failed ends as any other."""

from __future__ import annotations

import asyncio

import pytest

from producers.dead_letters.reader import DeadLetterReader
from producers.webhooks.hook_consumer import HookConsumer
from schemas.kafka_ending import stop_consumer
from tests.support.failing_consumer import FailingConsumer


async def test_a_fetch_that_was_cancelled_is_no_error() -> None:
    consumer = FailingConsumer()
    await stop_consumer(consumer)
    assert consumer.is_closed


async def test_a_cancellation_of_our_own_is_one() -> None:
    consumer = FailingConsumer()
    stopping = asyncio.ensure_future(stop_consumer(consumer))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert consumer.is_closed


async def test_neither_the_dead_letters_nor_the_hooks_end_with_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    consumers: list[FailingConsumer] = []

    def consumer(**_options: object) -> FailingConsumer:
        consumers.append(FailingConsumer())
        return consumers[-1]

    for module in ("producers.dead_letters.reader", "producers.webhooks.hook_consumer"):
        monkeypatch.setattr(f"{module}.AIOKafkaConsumer", consumer)
    await DeadLetterReader("127.0.0.1:1", "rejected").__aexit__(None, None, None)
    stop = asyncio.Event()
    stop.set()
    hooks = HookConsumer(kafka="127.0.0.1:1", topic="hooks", group="g", work_on=_nothing, window=1)
    await hooks.run(stop)
    assert [each.is_closed for each in consumers] == [True, True]


async def _nothing(_hook: bytes) -> None:
    raise AssertionError
