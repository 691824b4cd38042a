"""A consumer whose last fetch has failed ends as any other."""

from __future__ import annotations

import asyncio

import pytest

from streams.transport.stopping import stop_consumer


class Failing:
    """As aiokafka: it ends a fetch that pauses after an error, and raises that."""

    def __init__(self) -> None:
        self._client = self
        self.is_closed = False

    async def stop(self) -> None:
        fetch = asyncio.ensure_future(asyncio.Event().wait())
        await asyncio.sleep(0)
        fetch.cancel()
        await fetch

    async def close(self) -> None:
        self.is_closed = True


async def test_a_fetch_that_was_cancelled_is_no_error() -> None:
    consumer = Failing()
    await stop_consumer(consumer)
    assert consumer.is_closed


async def test_a_cancellation_of_our_own_is_one() -> None:
    consumer = Failing()
    stopping = asyncio.ensure_future(stop_consumer(consumer))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert consumer.is_closed
