"""One recount from beginning to end: count in memory, pour into the shadow, catch up, compare, switch.

Composes; the parts are `memory_part`, `counting`, `shadow`, `processes` and `streams.store.recounts`. Design and
reasons: docs/decisions/recount.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

from schemas.errors import TryAgainError, UsageError
from schemas.funnel.definition import definition_text
from schemas.funnel.model import Funnel
from streams.recount.comparison import VersionsCompared, compare_versions
from streams.recount.counting import Part, Partitions, count_up_to, slack_of
from streams.recount.history import History
from streams.recount.job import Outcome, RecountJob, Watcher
from streams.recount.memory_part import call, memory_parts
from streams.report.document.counters import build_document
from streams.store.address import Client
from streams.store.reader import RedisCounterReader
from streams.store.recounts import LEASE_SECONDS, Decision, Recounts, Switch
from streams.store.redis import RedisPartitionStore
from streams.transport.cursor import gap_below
from streams.transport.log_reader import LogReader

_NEAR = 2_000
"""Records behind the workers at which they are held: less than a tenth of a second of counting."""
_CATCH_UPS = 20


class Recount:
    """One recount; `run` is called once."""

    def __init__(self, job: RecountJob, client: Client, *, watcher: Watcher, old: Funnel | None) -> None:
        """`old`: the definition that was counted before, for the comparison."""
        self._job = job
        self._funnel = job.funnel
        self._watcher = watcher
        self._old = old
        self._store = RedisPartitionStore(client, job.space)
        self._shadow = RedisPartitionStore(client, job.space, shadow=self._funnel.funnel_id)
        self._shadow_reader = RedisCounterReader(client, job.space, shadow=self._funnel.funnel_id)
        self._reader = RedisCounterReader(client, job.space)
        self._recounts = Recounts(client, job.space)
        self.outcome = Outcome(self._funnel.funnel_id, before=None if old is None else old.funnel_id)

    async def run(self, *, switch: bool) -> Outcome:
        """Count, compare and, if wanted, switch. Raises FunnelcastError."""
        async with LogReader(self._job.kafka, self._job.events) as log:
            partitions = await self._partitions(log)
            await self._check_version()
            recount = await self._begin(partitions)
            renewing = asyncio.ensure_future(self._renew(recount))
            try:
                await self._in_memory(partitions)
                await self._in_store(recount, log, partitions=partitions, switch=switch)
            finally:
                renewing.cancel()
                await asyncio.shield(self._recounts.end(recount, partitions))
        return self.outcome

    async def _partitions(self, log: LogReader) -> list[int]:
        partitions = await self._reader.partitions()
        if not partitions:
            raise UsageError(
                f"nothing is counted in space {self._job.space} yet: start a worker with this funnel, it counts the "
                "log from its beginning"
            )
        await self._store.check_topic(self._job.events, log.identity.text)
        if len(partitions) < log.identity.partitions:
            raise TryAgainError("the workers have not claimed every partition yet: try again when they have")
        self.outcome.partitions = len(partitions)
        return partitions

    async def _check_version(self) -> None:
        funnel, counted = self._funnel, await self._reader.fingerprints()
        versions = [int(fid.rpartition("@")[2]) for fid in counted if fid.rpartition("@")[0] == funnel.name]
        newest = max(versions, default=0)
        if counted.get(funnel.funnel_id, funnel.fingerprint) != funnel.fingerprint:
            raise UsageError(
                f"{funnel.funnel_id} is counted by another definition: write version: {newest + 1} in the funnel's "
                "file, so that its numbers are not mistaken for those"
            )
        if newest > funnel.version:
            raise UsageError(
                f"{funnel.name} is counted in version {newest} already: write version: {newest + 1} to switch to this"
            )

    async def _begin(self, partitions: Sequence[int]) -> str:
        deadline = time.monotonic() + LEASE_SECONDS + 1
        while True:
            await self._recounts.sweep(partitions)
            recount = await self._recounts.begin(self._funnel.funnel_id)
            if recount is not None:
                return recount
            if time.monotonic() > deadline:
                raise TryAgainError("another recount is under way in this space: wait for it, or end it")
            await asyncio.sleep(0.5)

    async def _renew(self, recount: str) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 5)
            with contextlib.suppress(TryAgainError):
                await self._recounts.renew(recount)

    async def _cursors(self, partitions: Sequence[int]) -> dict[int, int]:
        statuses = {partition: await self._reader.status(partition) for partition in partitions}
        return {partition: status.offset for partition, status in statuses.items() if status is not None}

    async def _in_memory(self, partitions: Sequence[int]) -> None:
        """Everything up to where the workers are now."""
        began, targets = time.monotonic(), await self._cursors(partitions)
        self._watcher.begins("counting", sum(targets.values()))
        async with memory_parts(self._job, partitions, records=sum(targets.values())) as parts:
            begins: dict[int, int] = {}
            for started in await asyncio.gather(*(call(part, "start") for part in parts)):
                begins |= started
            for partition, begin in begins.items():
                if begin > targets[partition]:
                    raise gap_below(self._job.events, partition=partition, cursor=targets[partition], start=begin)
            self.outcome.missing = {partition: begin for partition, begin in begins.items() if begin}
            self._watcher.begins("counting", sum(max(0, targets[p] - begins[p]) for p in partitions))
            await self._count(parts, targets)
            self._watcher.begins("writing", 0)
            self.outcome.from_archive = sum(await asyncio.gather(*(call(part, "pour") for part in parts)))
        self.outcome.counting_seconds = time.monotonic() - began

    async def _in_store(self, recount: str, log: LogReader, *, partitions: Sequence[int], switch: bool) -> None:
        """What has come since, and the switch."""
        part = Partitions(
            self._shadow,
            self._funnel,
            history=History(log, None),
            partitions=partitions,
            total=len(partitions),
            watermark_delay_ms=self._job.watermark_delay_ms,
            max_person_events=self._job.max_person_events,
        )
        await part.start()
        for _ in range(_CATCH_UPS):
            targets = await self._cursors(partitions)
            behind = sum(targets[p] - part.processors[p].offset for p in partitions)
            self._watcher.begins("catching up", behind)
            await self._count([part], targets)
            if behind < _NEAR:
                break
        self.outcome.compared = await self._compare()
        if switch:
            self._watcher.begins("switching", 0)
            await self._switch(recount, part, partitions=partitions)

    async def _count(self, parts: Sequence[Part], targets: Mapping[int, int]) -> None:
        def progress(records: int) -> None:
            self.outcome.records += records
            self._watcher.counted(records)

        slack = slack_of(self._funnel, self._job.watermark_delay_ms)
        await count_up_to(parts, targets, slack_ms=slack, total=self.outcome.partitions, progress=progress)

    async def _compare(self) -> VersionsCompared:
        before = None if self._old is None else await build_document(self._reader, self._old)
        return compare_versions(before, await build_document(self._shadow_reader, self._funnel))

    async def _switch(self, recount: str, part: Partitions, *, partitions: Sequence[int]) -> None:
        began, funnel = time.monotonic(), self._funnel
        held = {}
        for partition in partitions:
            state = await self._recounts.hold(recount, partition)
            if state is None:
                raise TryAgainError(f"the state of partition {partition} went away: start the recount again")
            held[partition] = state
        await self._count([part], {partition: offset for partition, (offset, _) in held.items()})
        await part.finish()
        forwards = {
            partition: max(
                meta.forwards.get(funnel.funnel_id, 0),
                part.processors[partition].meta.forwards.get(funnel.funnel_id, 0),
            )
            for partition, (_, meta) in held.items()
        }
        switch = Switch(funnel.name, funnel.funnel_id, definition_text(funnel), funnel.fingerprint)
        if not await self._recounts.decide(recount, switch, decision=Decision(forwards)):
            raise TryAgainError("the recount was not heard of for too long and was ended: start it again")
        for partition in partitions:
            await self._recounts.adopt(recount, partition)
        self.outcome.is_switched, self.outcome.pause_seconds = True, time.monotonic() - began
