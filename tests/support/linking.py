"""Counting logs in which ids are linked, in memory, through the real core: forwards go round through the logs.

Two ways. *In step*: record by record in the order of the whole log, every forward applied at once. *On their own*: the
partitions advance one after the other as chance wills, forwards wait in the log of their partition, and now and then a
worker dies between what it published and its write, so that everything it sent comes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from schemas.funnel.model import Funnel
from schemas.partition import partition_of
from streams.core.engine import PartitionEngine, Record
from streams.core.outgoing import Outgoing, OutgoingKind
from streams.core.place import Place
from streams.core.planning import plan_of
from streams.core.registers import Registers
from tests.support.counting import Counted, Names, Partition, counted


@dataclass(frozen=True)
class Going:
    """How a log is counted."""

    rng: Random
    in_step: bool
    dump_and_load: bool = False
    general_only: bool = False
    dies: bool = False
    watermark_delay_ms: int = 60_000
    partitions: int = 1


class _Logs:
    """The partitions, their logs and how far they are counted."""

    def __init__(self, funnels: Sequence[Funnel], going: Going) -> None:
        self.going = going
        self.plans = [plan_of(funnel) for funnel in funnels]
        for plan in self.plans:
            plan.has_fast_paths = plan.has_fast_paths and not going.general_only
            plan.counts_together = not (going.general_only and going.in_step)
        self.names = Names(Registers(self.plans))
        self.parts = [Partition(self.engine(at), self.names) for at in range(going.partitions)]
        self.logs: list[list[Record]] = [[] for _ in range(going.partitions)]
        self.cursors = [0] * going.partitions

    def engine(self, at: int) -> PartitionEngine:
        return PartitionEngine(
            self.plans,
            watermark_delay_ms=self.going.watermark_delay_ms,
            registers=self.names.registers,
            max_persons=self.going.rng.choice([1, 2, 1000]) if self.going.dump_and_load else 1000,
            place=Place(at, self.going.partitions),
        )

    def append(self, record: Record) -> None:
        if record[0] is None:
            for log in self.logs:
                log.append(record)
        else:
            self.logs[partition_of(record[0], len(self.logs))].append(record)

    def send(self, outgoing: Iterable[Outgoing], timestamp: int) -> None:
        for record in outgoing:
            if record.kind is OutgoingKind.FORWARD:
                self.append((record.key, record.value, timestamp))

    def restart(self, at: int) -> None:
        part = self.parts[at]
        if part.stored.meta.records:
            part.engine = self.engine(at)
            part.engine.restore(part.stored.claim())
        else:
            part.engine = self.engine(at)

    def advance(self, at: int, size: int) -> None:
        going, part = self.going, self.parts[at]
        batch = self.logs[at][self.cursors[at] : self.cursors[at] + size]
        if going.dies and going.rng.random() < 0.3:  # after its forwards were acknowledged, before its write
            self.send(part.apply(batch).outgoing, batch[-1][2])
            self.restart(at)
            batch = batch[: going.rng.randint(1, len(batch))]
        elif going.dump_and_load:
            self.restart(at)
        self.send(part.count(batch), batch[-1][2])
        self.cursors[at] += len(batch)

    def waiting(self) -> list[int]:
        return [at for at, log in enumerate(self.logs) if self.cursors[at] < len(log)]

    def drain(self, most: int) -> None:
        while waiting := self.waiting():
            self.advance(self.going.rng.choice(waiting), self.going.rng.randint(1, most))


def count_linked(funnels: Sequence[Funnel], records: Iterable[Record], going: Going) -> dict[str, Counted]:
    """Count records from nothing; what is forwarded comes back. By funnel_id."""
    logs = _Logs(funnels, going)
    for record in records:
        logs.append(record)
        if going.in_step:
            logs.drain(1)
    logs.drain(going.rng.choice([1, 3, 30]))
    return {funnel.funnel_id: counted(funnel.funnel_id, logs.parts, logs.names) for funnel in funnels}
