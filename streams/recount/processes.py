"""Partitions counted in a process of their own: the same `Part`, behind a pipe.

The process does one thing after the other and ends with its pipe. What goes wrong in it is raised here.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from schemas.errors import FunnelcastError
from streams.recount.counting import Forwarded, Stepped

Open = Callable[[Sequence[int]], Any]
"""Given partitions, an async context manager of what serves them: `Part` and what else is called by name."""


class PartProcess:
    """See the module. `start` first, `close` last."""

    def __init__(self, serve: Open, partitions: Sequence[int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, serve, list(partitions)), daemon=True)
        self._theirs = theirs

    def start(self) -> None:
        """Start the process."""
        self._process.start()
        self._theirs.close()

    async def aim(self, targets: Mapping[int, int]) -> None:
        await self.call("aim", dict(targets))

    async def head_ms(self) -> int | None:
        head: int | None = await self.call("head_ms")
        return head

    async def step(self, until_ms: int) -> Stepped:
        stepped: Stepped = await self.call("step", until_ms)
        return stepped

    async def receive(self, forwards: Sequence[Forwarded]) -> list[Forwarded]:
        answer: list[Forwarded] = await self.call("receive", list(forwards))
        return answer

    async def call(self, name: str, *arguments: Any) -> Any:
        """Have it done there. Raises what was raised there."""
        self._pipe.send((name, arguments))
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._pipe.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._pipe.fileno())
        try:
            is_well, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError(
                "a counting process ended without a word: is the memory of this machine full?"
            ) from error
        if not is_well:
            raise answer
        return answer

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


def _serve(pipe: Connection, serve: Open, partitions: Sequence[int]) -> None:
    """What the process does. Ctrl-C is the parent's: it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(100_000, 50, 1_000)
    with contextlib.suppress(EOFError, OSError, asyncio.CancelledError):
        asyncio.run(_answer(pipe, serve, partitions))


async def _answer(pipe: Connection, serve: Open, partitions: Sequence[int]) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with serve(partitions) as part:
            while True:
                name, arguments = await loop.run_in_executor(None, pipe.recv)
                pipe.send((True, await _done(getattr(part, name)(*arguments))))
    except (EOFError, BrokenPipeError):
        raise
    except FunnelcastError as error:
        pipe.send((False, error))
    except Exception as error:  # noqa: BLE001 - the edge of the process: the parent raises it
        pipe.send((False, RuntimeError(f"a counting process failed: {error!r}")))


async def _done(work: Coroutine[Any, Any, Any]) -> Any:
    return await work
