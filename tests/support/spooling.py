"""A spooling sink over a log that fails as it is told, and what a kill leaves of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producers.sink.port import MemorySink, Outgoing, RecordsRefusedError, SinkUnavailableError
from producers.spool.settings import SpoolSettings
from producers.spool.sink import SpoolSink

TOPICS = ("t",)


@dataclass
class Log(MemorySink):
    """A log that can be away, fail after a part was written, hold acknowledgements back, and refuse values."""

    away: str | None = None
    fail_next: int = 0
    """So many puts write their first record and then fail."""
    refused: bytes | None = None
    hold: asyncio.Event | None = None
    is_known: bool = True
    puts: int = 0

    async def __aenter__(self) -> Log:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def partitions_of(self, topic: str) -> int:
        if not self.is_known:
            raise SinkUnavailableError("not connected to Kafka yet", 5)
        return self.partitions

    @property
    def trouble(self) -> str | None:
        return self.away

    @property
    def outage(self) -> str | None:
        return self.away

    async def put(self, records: Sequence[Outgoing], *, needs_order: bool = False) -> None:
        self.puts += 1
        await asyncio.sleep(0)
        if self.hold is not None:
            await self.hold.wait()
        if self.away is not None:
            raise SinkUnavailableError(self.away, 2)
        if self.refused is not None and any(one.value == self.refused for one in records):
            self.fail_next += 1  # a producer that was refused a batch connects anew
            raise RecordsRefusedError("too large", 2)
        if self.fail_next:
            self.fail_next -= 1
            await super().put(records[:1])
            raise SinkUnavailableError("Kafka did not acknowledge in time", 2)
        await super().put(records)

    def values(self, partition: int = 0) -> list[str]:
        return [one.value.decode() for one in self.logs.get(("t", partition), [])]


def records(*values: str, partition: int = 0) -> list[Outgoing]:
    return [Outgoing("t", partition, b"k", value.encode(), 1) for value in values]


def settings(directory: Path, **options: Any) -> SpoolSettings:
    chosen: dict[str, Any] = {"limit_bytes": 1_000_000, "topics": TOPICS, "poll_seconds": 0.005, **options}
    return SpoolSettings(directory=directory, **chosen)


@asynccontextmanager
async def spooling(log: Log, directory: Path, **options: Any) -> AsyncIterator[SpoolSink]:
    async with SpoolSink(log, settings(directory, **options)) as sink:
        yield sink


def drained(sink: SpoolSink) -> Callable[[], bool]:
    return lambda: sink.note is None
