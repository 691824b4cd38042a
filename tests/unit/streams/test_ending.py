"""A loop ends although the first cancellation is lost, as the store's client may lose it."""

from __future__ import annotations

import asyncio
import contextlib

from streams.ending import end
from tests.support.waiting import LIMIT


async def test_a_lost_cancellation_is_repeated() -> None:
    lost = []

    async def loop() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        lost.append(True)
        await asyncio.Event().wait()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    await asyncio.wait_for(end(task), LIMIT)
    assert lost
    assert task.cancelled()


async def test_an_error_of_the_task_is_not_that_of_its_end() -> None:
    async def loop() -> None:
        raise ValueError

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    await end(task)
    assert isinstance(task.exception(), ValueError)
