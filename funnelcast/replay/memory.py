"""Count a file of native events from nothing: what is read, what is refused, and the way through memory.

Both ways (see `replay_stack` for the other) make the same records of the same lines and give them to the same core, so
they print the same document. Holds no counting of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from funnelcast.ingest import origins_of
from funnelcast.replay.slices import Slices
from funnelcast.say import say
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.verdicts import Accepted, Rejected, Scope, Sender, Ticked, Verdict
from producers.reading.clear import open_clear
from producers.reading.objects import read_elements
from producers.sink.port import partition_for
from schemas.errors import InputFileError
from schemas.funnel.model import Funnel
from schemas.reasons import RejectReason
from schemas.record import encode_tick
from streams.archive.places import is_address
from streams.core.outgoing import Outgoing, OutgoingKind
from streams.core.place import Place
from streams.defaults import WATERMARK_DELAY_MS
from streams.report.document.counters import build_document
from streams.report.document.shapes import CountersDocument
from streams.report.questions.spelling import read_spelling
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import CounterReader
from streams.worker.partition import LogRecord, PartitionProcessor

CHUNK_RECORDS = 20_000
"""More than a worker takes at once: no server waits for the write."""
MAX_PERSONS = 1_000_000
"""More than a worker has: nothing else is in this process."""
SHOWN_REFUSALS = 20
Progress = Callable[[int, int], None]
"""(bytes read, bytes of the file)."""
PROGRESS_LINES = 500
HISTORICAL = Sender(scope=Scope.HISTORICAL)
NOT_FOR_SENDING = frozenset(
    {RejectReason.MALFORMED_JSON, RejectReason.TOO_DEEP, RejectReason.EVENT_TOO_LARGE, RejectReason.INVALID_TIME}
)
"""A line refused for one of these is refused before it is sent: it would spoil the request it travels in, or, without a
time of its own, be given the collector's clock and count differently every time."""


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """What is counted and how."""

    funnels: tuple[Funnel, ...]
    references: tuple[str, ...]
    """The funnels as they were named: presets and files."""
    events: Path
    watermark_ms: int | None = None
    partitions: int = 1
    workers: int = 1
    watermark_delay_ms: int = WATERMARK_DELAY_MS
    contact_key: str = "replay"
    """Any will do: contact ids are compared, never shown."""
    channels: Path | None = None
    as_written: bool = False
    """Names in the documents as they were first written, for people; else as they are compared."""

    @property
    def size(self) -> int:
        """Bytes of the file, or of an archive's files; 0 where it cannot be told."""
        try:
            if self.events.is_dir():
                return sum(path.stat().st_size for path in self.events.rglob("*.parquet"))
            return self.events.stat().st_size
        except OSError:
            return 0

    @property
    def final_tick_ms(self) -> int | None:
        """The tick that ends the replay, so that the watermark is the one asked for."""
        return None if self.watermark_ms is None else self.watermark_ms + self.watermark_delay_ms

    def ingest(self) -> Ingest:
        """The collector's checks."""
        personless = {"ad_spend"}.union(*(funnel.ad_spend for funnel in self.funnels))
        return Ingest(
            contacts=Contacts(self.contact_key.encode()),
            personless_names=personless,
            origins=origins_of(self.channels),
        )


@dataclass(slots=True)
class Refusals:
    """Lines that were not taken: the first are shown, all are counted."""

    path: Path
    say: Callable[[str], None] = lambda line: say(line, err=True)
    by_reason: Counter[str] = field(default_factory=Counter)

    def add(self, line_number: int, *, reason: str, detail: str) -> None:
        """Count one, and say so unless there were many."""
        self.by_reason[reason] += 1
        if self.by_reason.total() <= SHOWN_REFUSALS:
            self.say(f"{self.path}:{line_number}: rejected: {reason}: {detail}")

    def sum_up(self) -> None:
        """One line at the end, if there was any."""
        if self.by_reason:
            parts = ", ".join(f"{reason} {count}" for reason, count in sorted(self.by_reason.items()))
            self.say(f"{self.path}: {self.by_reason.total()} lines rejected ({parts})")


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number from 1, text) of every line that is not blank, of every element of an array, or of every event of an
    archive, which is a folder. Raises InputFileError, UsageError."""
    if path.is_dir() or is_address(path):
        from streams.archive.files import ArchiveFolder

        return enumerate(ArchiveFolder(path).events(), start=1)
    clear = open_clear(str(path))
    if clear.is_binary:
        raise InputFileError(f"{path} is no file of native events; describe it: replay --import FILE.yaml")
    return read_elements(clear)


def no_progress(done: int, total: int) -> None:
    """Shows nothing."""


async def replay_through_memory(
    job: ReplayJob, refusals: Refusals, *, progress: Progress = no_progress
) -> list[CountersDocument]:
    """The counters documents, in the order of the funnels."""
    space = MemorySpace(clock_ms=lambda: 0)
    await count_in_memory(job, refusals, space=space, progress=progress)
    reader = MemoryCounterReader(space)
    return [await document_of(reader, job, funnel) for funnel in job.funnels]


async def document_of(reader: CounterReader, job: ReplayJob, funnel: Funnel) -> CountersDocument:
    """What was counted of a funnel, as the job wants it."""
    document = await build_document(reader, funnel)
    return (await read_spelling(reader, funnel)).shown(document) if job.as_written else document


async def count_in_memory(
    job: ReplayJob,
    refusals: Refusals,
    *,
    space: MemorySpace,
    longest_chunk_ms: int | None = None,
    progress: Progress = no_progress,
) -> None:
    """Count the file into an empty space; no chunk spans more time than `longest_chunk_ms`."""
    counting = _MemoryCounting(job, space, longest_chunk_ms=longest_chunk_ms)
    await counting.start()
    ingest = job.ingest()
    take, read, size = counting.take, 0, job.size
    for number, line in read_lines(job.events):
        read += len(line) + 1
        if number % PROGRESS_LINES == 0:
            progress(read, size)
        verdict = ingest.native(line, sender=HISTORICAL, received_at_ms=None)
        if isinstance(verdict, Rejected):
            refusals.add(number, reason=verdict.reason, detail=verdict.detail)
        elif not take(verdict):
            await counting.add(verdict)
    if job.final_tick_ms is not None:
        await counting.add(Ticked(job.final_tick_ms, encode_tick(job.final_tick_ms)))
    await counting.finish()


class _MemoryCounting:
    """The partitions of a log that exists only while it is read."""

    def __init__(self, job: ReplayJob, space: MemorySpace, *, longest_chunk_ms: int | None) -> None:
        store = MemoryPartitionStore(space)
        self._longest_chunk_ms = longest_chunk_ms
        self._store, self._job = store, job
        self._is_one_log = job.partitions == 1 and longest_chunk_ms is None
        self._processors = [
            PartitionProcessor(
                store,
                Place(partition, job.partitions),
                job.funnels,
                watermark_delay_ms=job.watermark_delay_ms,
                max_persons=MAX_PERSONS,
                publisher=self,
            )
            for partition in range(job.partitions)
        ]
        self._slices = Slices(job.funnels, watermark_delay_ms=job.watermark_delay_ms, partitions=job.partitions)
        self._waiting: list[list[LogRecord]] = [[] for _ in range(job.partitions)]
        self._offsets = [0] * job.partitions

    async def start(self) -> None:
        """Claim every partition."""
        await self._store.check_funnels({_funnel_id(funnel): funnel.fingerprint for funnel in self._job.funnels})
        for processor in self._processors:
            await processor.claim()

    def take(self, verdict: Verdict) -> bool:
        """Append an event before which nothing has to be applied, and which links nobody; False: `add` it."""
        if not self._is_one_log or type(verdict) is not Accepted or verdict.claims:
            return False
        waiting = self._waiting[0]
        if len(waiting) + 1 >= CHUNK_RECORDS:
            return False
        waiting.append(LogRecord(verdict.key, verdict.value, verdict.received_at_ms, self._offsets[0]))
        self._offsets[0] += 1
        return True

    async def add(self, verdict: Verdict) -> None:
        """Append records where the collector's sink would."""
        if self._slices.ends_before(verdict):
            await self._drain()
        if isinstance(verdict, Accepted):
            for key, value in verdict.records:
                partition = partition_for(key, self._job.partitions)
                await self._append(partition, key, value=value, timestamp_ms=verdict.received_at_ms)
        elif isinstance(verdict, Ticked):
            for partition in range(self._job.partitions):
                await self._append(partition, None, value=verdict.value, timestamp_ms=verdict.tick_ms)

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """What is forwarded comes behind all that waits in its partition; what is late goes nowhere."""
        for record in records:
            if record.kind is OutgoingKind.FORWARD:
                self._wait(
                    partition_for(record.key, self._job.partitions), record.key, value=record.value, timestamp_ms=0
                )

    async def finish(self) -> None:
        """Apply what waits and everything that is due."""
        await self._drain()
        for processor in self._processors:
            await processor.book_due()
        await self._drain()

    async def _drain(self) -> None:
        while any(self._waiting):
            for partition in range(self._job.partitions):
                await self._apply(partition)

    def _wait(self, partition: int, key: bytes | None, *, value: bytes, timestamp_ms: int) -> None:
        self._waiting[partition].append(LogRecord(key, value, timestamp_ms, self._offsets[partition]))
        self._offsets[partition] += 1

    async def _append(self, partition: int, key: bytes | None, *, value: bytes, timestamp_ms: int) -> None:
        waiting = self._waiting[partition]
        if waiting and self._longest_chunk_ms and timestamp_ms > waiting[0].timestamp + self._longest_chunk_ms:
            await self._apply(partition)
        self._wait(partition, key, value=value, timestamp_ms=timestamp_ms)
        if len(self._waiting[partition]) >= CHUNK_RECORDS:
            await self._apply(partition)

    async def _apply(self, partition: int) -> None:
        records, self._waiting[partition] = self._waiting[partition], []
        if records:
            await self._processors[partition].process(records, records[-1].offset + 1)


def _funnel_id(funnel: Funnel) -> str:
    return f"{funnel.name}@{funnel.version}"
