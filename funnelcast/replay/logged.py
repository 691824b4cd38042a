"""Count the log of a space, or its archive, in memory and keep every minute and hour: what a back-test looks at.

Joins and commits nothing, and writes nowhere: the workers do not notice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from funnelcast.replay.histories import LONGEST_CHUNK_MS, watched_in
from funnelcast.replay.memory import Progress
from schemas.errors import UsageError
from schemas.funnel.model import Funnel
from schemas.kafka import Kafka
from streams.archive.files import ArchiveFolder
from streams.archive.reader import ArchiveReader
from streams.core.engine import RECORDS_PER_CHUNK
from streams.defaults import MAX_PERSON_EVENTS
from streams.evidence.watched import Watched
from streams.recount.counting import Partitions, count_up_to, slack_of
from streams.recount.counting import Progress as Counted
from streams.recount.history import History
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.transport.log_reader import LogReader

_IN_STEP: Final = 2
"""One partition, too, is counted in steps: a chunk must not span more time than its minutes are kept."""


@dataclass(slots=True)
class _Log:
    """What is counted, once for each funnel."""

    log: LogReader | None
    archive: ArchiveFolder | None
    ends: Mapping[int, int]
    total: int
    watermark_delay_ms: int

    async def counted(self, funnel: Funnel, progress: Counted) -> Watched:
        """Of one funnel, up to the ends."""
        space = MemorySpace(clock_ms=lambda: 0, expires=False)
        store = MemoryPartitionStore(space)
        await store.check_funnels({funnel.funnel_id: funnel.fingerprint})
        part = Partitions(
            store,
            funnel,
            history=History(self.log, None if self.archive is None else ArchiveReader(self.archive)),
            partitions=range(self.total),
            total=self.total,
            watermark_delay_ms=self.watermark_delay_ms,
            max_person_events=MAX_PERSON_EVENTS,
            chunk_persons=RECORDS_PER_CHUNK,
        )
        await part.start()
        slack_ms = min(slack_of(funnel, self.watermark_delay_ms), LONGEST_CHUNK_MS)
        total = max(self.total, _IN_STEP)
        await count_up_to([part], self.ends, slack_ms=slack_ms, total=total, progress=progress)
        return await watched_in(MemoryCounterReader(space), funnel, delay_ms=self.watermark_delay_ms)


async def watched_of_log(
    funnels: Sequence[Funnel],
    *,
    kafka: Kafka | None,
    topic: str,
    archive: Path | None,
    watermark_delay_ms: int,
    progress: Progress,
) -> list[Watched]:
    """One for each funnel, in their order. Raises FunnelcastError."""
    folder = None if archive is None else ArchiveFolder(archive)
    archived = {} if folder is None else folder.cursor()
    if kafka is None and folder is not None and not archived:
        raise UsageError(f"{folder.name} holds no archive; `funnelcast archive DIR` writes one")
    async with AsyncExitStack() as parts:
        if kafka is None:
            total = max(archived) + 1
            ends = {partition: archived.get(partition, 0) for partition in range(total)}
            whole = _Log(None, folder, ends, total, watermark_delay_ms)
        else:
            log = await parts.enter_async_context(LogReader(kafka, topic))
            total = log.identity.partitions
            await log.assign(list(range(total)))
            whole = _Log(log, folder, await log.ends(), total, watermark_delay_ms)
        whole_size, done = len(funnels) * sum(whole.ends.values()), 0

        def advance(records: int) -> None:
            nonlocal done
            done += records
            progress(done, whole_size)

        return [await whole.counted(funnel, advance) for funnel in funnels]
