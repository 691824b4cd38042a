"""Persons of a space's partitions in Redis, for who owns them: reads and what an apply writes (`person_log`).

Remembers what the lists of its partitions say. That is of use to the owner only, and true until somebody else applies:
then the owner's next apply is refused, and a claim begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from streams.state import FunnelWrites, Loaded, bucket_of, key_of
from streams.store.keys import PartitionKeys
from streams.store.packing import ApplyBlob
from streams.store.person_log import PersonLog, PersonWrites, entries_of, grouped
from streams.store.reads import OwnerReads, Wanted


class Persons:
    """See the module."""

    def __init__(self, reads: OwnerReads) -> None:
        self._reads = reads
        self._logs: dict[tuple[int, str], PersonLog] = {}

    def claimed(self, partition: int, known: Mapping[str, bool]) -> None:
        """A partition is taken; by funnel_id, whether it may hold persons."""
        self.leave(partition)
        for funnel_id, is_known in known.items():
            self._logs[partition, funnel_id] = PersonLog(is_new=not is_known)

    def leave(self, partition: int) -> None:
        """A partition is another owner's."""
        for place in [place for place in self._logs if place[0] == partition]:
            del self._logs[place]

    def doubt(self, partition: int) -> None:
        """It is not known what was written last."""
        self.claimed(partition, {funnel_id: True for number, funnel_id in self._logs if number == partition})

    async def read(
        self,
        partition: int,
        keys: PartitionKeys,
        funnel_id: str,
        *,
        buckets: Sequence[int],
        persons: Sequence[bytes],
        old: bytes | None,
    ) -> Loaded:
        """Whole buckets and single fields."""
        log = self._logs.get((partition, funnel_id))
        return await self._reads.persons(keys, funnel_id, buckets=buckets, persons=persons, old=old, log=log)

    async def add(
        self, blob: ApplyBlob, partition: int, funnel_id: str, changes: FunnelWrites, old: bytes | None
    ) -> PersonWrites:
        """Put a funnel's changes of persons into an apply. `written` once it is acknowledged."""
        log = self._logs.get((partition, funnel_id))
        writes = PersonWrites(grouped(changes.persons), {})
        writes.entries = entries_of(writes.groups)
        due = {bucket_of(key) for key in changes.erased}
        if log is None:
            log = PersonLog()
            await self._load(blob.partition, funnel_id, log, due)
        else:
            unread = [bucket for bucket in due if log.since[bucket] is None]
            await self._load(blob.partition, funnel_id, log, [*unread, *log.to_load(writes.groups)])
            due.update(log.due(writes.entries))
        groups = {bucket: writes.groups.get(bucket, {}) for bucket in due}
        wanted = {bucket: Wanted(log.wanted(bucket, group), with_log=False) for bucket, group in groups.items()}
        async for bucket, stored in self._reads.stored(blob.partition, funnel_id, wanted):
            is_mixed = old is not None and old[bucket] < self._reads.layout
            writes.folds[bucket] = log.fold(bucket, stored, groups[bucket], keep_deleted=is_mixed)
            writes.entries.pop(bucket, None)
        blob.persons(funnel_id, writes)
        if old is not None:
            blob.erase_first(funnel_id, [name for name in changes.persons if key_of(name) in changes.erased])
            if changes.layouts is not None:
                blob.drop_older(funnel_id, old, changes.layouts.buckets)
        return writes

    def written(self, partition: int, funnel_id: str, writes: PersonWrites) -> None:
        """An apply was acknowledged."""
        if (log := self._logs.get((partition, funnel_id))) is not None:
            log.note(writes)

    async def _load(self, keys: PartitionKeys, funnel_id: str, log: PersonLog, buckets: Iterable[int]) -> None:
        wanted = {bucket: Wanted((), with_log=True) for bucket in buckets}
        async for bucket, stored in self._reads.stored(keys, funnel_id, wanted):
            log.learn(bucket, stored)
