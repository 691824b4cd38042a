"""Processes that a benchmark starts, and what they cost. Every one is ended with the run, whatever happens."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from funnelcast.stack.embedded import EmbeddedStack
from streams.store.address import Client
from streams.store.connection import close, connect

CHILD_SECONDS = 300.0


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, all its threads."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def scratch() -> AsyncIterator[Path]:
    """A directory that goes away."""
    path = Path(tempfile.mkdtemp(prefix="funnelcast-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@asynccontextmanager
async def valkey(kafka: str) -> AsyncIterator[tuple[EmbeddedStack, Client]]:
    """A fresh Valkey as the embedded stack runs it (append-only file, everysec), beside a given broker."""
    async with scratch() as directory, EmbeddedStack(directory, kafka=kafka) as stack:
        client = connect(stack.redis)
        try:
            yield stack, client
        finally:
            await close(client)


async def used_memory(client: Client) -> int:
    """Bytes in use by the server's data."""
    return int((await client.info("memory"))["used_memory"])


async def measured_child(module: str, *arguments: str) -> dict[str, Any]:
    """Run `python -m module arguments` and read the JSON object it prints."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(), CHILD_SECONDS)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    _, brace, rest = out.decode().rpartition("{")  # Faust prints control characters around it
    if child.returncode != 0 or not brace:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{(out + err).decode()[-3000:]}")
    result: dict[str, Any] = json.loads(brace + rest.partition("}")[0] + "}")
    return result
