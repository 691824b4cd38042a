"""Writes frames of a spool to Kafka and moves its cursor behind what was acknowledged. Does not decide when."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from producers.sink.port import RecordsRefusedError, Sink, SinkUnavailableError
from producers.spool.files import Backlog, SpoolBusyError, SpoolFiles, SpoolUnusableError
from producers.spool.frames import UnreadableFrameError, decode_records
from producers.spool.writer import InThread

log = structlog.get_logger("funnelcast.spool")


class SpoolDrainer:
    """`on_drained` is told how many records were acknowledged."""

    def __init__(self, kafka: Sink, in_thread: InThread, *, on_drained: Callable[[int], None]) -> None:
        self._kafka = kafka
        self._in_thread = in_thread
        self._on_drained = on_drained
        self._careful: set[Path] = set()
        """Spools whose next frames go one by one, because something among them was refused."""

    async def drain(self, files: SpoolFiles, backlog: Backlog) -> None:
        """Put frames on Kafka, then move the cursor. Raises SinkUnavailableError, OSError: some are written again.

        Where something among them will never be taken, nothing has happened yet, and the next call goes frame by frame.
        """
        if files.directory in self._careful:
            await self._one_by_one(files, backlog)
            return
        try:
            records = [one for frame in backlog.frames for one in decode_records(frame.payload)]
            await self._kafka.put(records)
        except (RecordsRefusedError, UnreadableFrameError):
            self._careful.add(files.directory)
            return
        await self._in_thread(partial(files.commit, backlog.end(), sum(frame.records for frame in backlog.frames)))
        self._on_drained(len(records))

    async def _one_by_one(self, files: SpoolFiles, backlog: Backlog) -> None:
        """What is refused goes to quarantine, so that it does not block everything behind it. A refusal costs the
        producer its connection: the frame behind it may have to wait for the next call."""
        for number, frame in enumerate(backlog.frames, 1):
            try:
                await self._kafka.put(decode_records(frame.payload))
                self._on_drained(frame.records)
            except (RecordsRefusedError, UnreadableFrameError) as error:
                log.error(
                    "spooled_records_refused",
                    message="they are kept in quarantine",
                    records=frame.records,
                    error=str(error),
                )
                await self._in_thread(partial(files.quarantine_frame, backlog, frame))
            await self._in_thread(partial(files.commit, backlog.end(number), frame.records))
        self._careful.discard(files.directory)

    async def drain_directory(self, directory: Path, *, pause_seconds: float) -> None:
        """Write all that another collector left in its directory, then remove the directory."""
        files = SpoolFiles(directory)
        try:
            await self._in_thread(files.open)
        except (SpoolUnusableError, SpoolBusyError) as error:
            log.warning("neighbour_spool_not_drained", directory=str(directory), error=str(error))
            return
        try:
            is_whole = await self._empty(files, pause_seconds)
        finally:
            await self._in_thread(files.close)
        if is_whole and not files.quarantined_bytes:
            await self._in_thread(partial(shutil.rmtree, directory, ignore_errors=True))

    async def _empty(self, files: SpoolFiles, pause_seconds: float) -> bool:
        while (backlog := await self._in_thread(files.read)) is not None:
            try:
                for topic, count in files.partitions.items():
                    if self._kafka.partitions_of(topic) != count:
                        log.error("neighbour_spool_has_other_partitions", directory=str(files.directory))
                        return False
                await self.drain(files, backlog)
            except (SinkUnavailableError, OSError) as error:
                log.warning("neighbour_spool_waits", directory=str(files.directory), error=str(error))
                await asyncio.sleep(pause_seconds)
        await self._in_thread(files.clear)
        return True
