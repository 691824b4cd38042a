"""Who loads next: the least lag of those that wait, one at a time; nobody waits for ever, and nobody's turn is lost."""

from __future__ import annotations

import asyncio
import contextlib

from streams.worker.turns import Turns
from tests.support.waiting import LIMIT


async def test_the_least_is_next_and_one_at_a_time() -> None:
    turns, order, at_once = Turns(), [], 0

    async def load(rank: int) -> None:
        nonlocal at_once
        async with turns.turn(rank):
            at_once += 1
            assert at_once == 1
            order.append(rank)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*(load(rank) for rank in (5, 3, 9, 1, 3)))
    assert order == [5, 1, 3, 3, 9]


async def test_one_that_hangs_does_not_stop_the_others() -> None:
    turns, hangs = Turns(patience=0.01), asyncio.Event()

    async def hang() -> None:
        async with turns.turn(0):
            await hangs.wait()

    hanging = asyncio.create_task(hang())
    await asyncio.sleep(0)
    async with turns.turn(1):
        assert not hanging.done()
    hangs.set()
    await hanging
    async with asyncio.timeout(LIMIT), turns.turn(2):
        pass


async def test_a_turn_is_passed_on_by_one_that_is_cancelled() -> None:
    turns, first_ends = Turns(), asyncio.Event()

    async def load(until: asyncio.Event) -> None:
        async with turns.turn(0):
            await until.wait()

    first = asyncio.create_task(load(first_ends))
    await asyncio.sleep(0)
    second = asyncio.create_task(load(asyncio.Event()))
    third = asyncio.create_task(load(first_ends))
    await asyncio.sleep(0)
    first_ends.set()
    await first  # the second has its turn, and is ended before it looks
    second.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await second
    async with asyncio.timeout(LIMIT):
        await third
