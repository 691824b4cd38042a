"""Puts on their way to the spool's disk: one sync for all that came while the one before was under way.

Bounds what waits, in memory and on disk. Knows nothing of Kafka.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

import structlog

from producers.sink.port import Outgoing, SinkUnavailableError
from producers.spool.files import SpoolFiles
from producers.spool.frames import HEADER_BYTES, encode_records

log = structlog.get_logger("funnelcast.spool")
RETRY_SECONDS: Final = 5
QUEUE_BYTES: Final = 64 * 1024 * 1024
"""In memory on their way to a disk that does not keep up."""
InThread = Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]]
"""Runs work in the one thread that touches the files."""


class GroupWriter:
    """`await write(records)` returns when they are synced."""

    def __init__(
        self, files: SpoolFiles, in_thread: InThread, *, limit_bytes: int, on_written: Callable[[int], None]
    ) -> None:
        self._files = files
        self._in_thread = in_thread
        self._limit_bytes = limit_bytes
        self._on_written = on_written
        self._waiting: list[tuple[bytes, int, asyncio.Future[None]]] = []
        self._queued_bytes = 0
        self._error: tuple[float, str] | None = None
        self.queued_records = 0
        self.task: asyncio.Task[None] | None = None
        """While something is written."""

    @property
    def error(self) -> str | None:
        """Why the last write failed, for a few seconds: then somebody may try again."""
        is_fresh = self._error is not None and time.monotonic() - self._error[0] < RETRY_SECONDS
        return self._error[1] if self._error is not None and is_fresh else None

    def is_full(self, size: int) -> bool:
        """Whether `size` more bytes would be too many."""
        return self._files.bytes + self._queued_bytes + size > self._limit_bytes

    def begin(self, records: Sequence[Outgoing]) -> asyncio.Future[None]:
        """Queue records of one put; the future is done when they are synced. Raises SinkUnavailableError."""
        payload = encode_records(records)
        size = HEADER_BYTES + len(payload)
        if self.is_full(size):
            raise SinkUnavailableError("the spool is full", RETRY_SECONDS)
        if self._queued_bytes and self._queued_bytes + size > QUEUE_BYTES:
            raise SinkUnavailableError("too much is waiting for the disk", 1)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((payload, len(records), done))
        self._queued_bytes += size
        self.queued_records += len(records)
        if self.task is None:
            self.task = loop.create_task(self._write_groups())
        return done

    async def _write_groups(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            error = await self._write([(payload, count) for payload, count, _ in group])
            self._queued_bytes -= sum(HEADER_BYTES + len(payload) for payload, _, _ in group)
            self.queued_records -= sum(count for _, count, _ in group)
            for _, _, done in group:
                if done.done():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(SinkUnavailableError(error, RETRY_SECONDS))
        self.task = None

    async def _write(self, payloads: list[tuple[bytes, int]]) -> str | None:
        """What went wrong, or None."""
        try:
            await self._in_thread(partial(self._files.append, payloads))
        except Exception as error:
            text = f"the spool cannot be written: {getattr(error, 'strerror', None) or error!r}"
            if self._error is None or self._error[1] != text:
                log.exception("spool_write_failed", directory=str(self._files.directory))
            self._error = (time.monotonic(), text)
            return text
        self._error = None
        self._on_written(sum(count for _, count in payloads))
        return None
