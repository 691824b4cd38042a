"""Runs the real core on a case of the oracle: the collector's checks, the core or the worker's processor, the report.

The one place in which the laws touch the product's interfaces.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Scope, Sender, Ticked
from schemas.funnel.load import parse_funnel
from schemas.funnel.model import Funnel
from schemas.partition import partition_of as kafka_partition_of
from schemas.record import encode_forget
from streams.core.outgoing import Outgoing
from streams.core.place import Place
from streams.defaults import MAX_PERSON_EVENTS
from streams.report.document.counters import build_document, merge_cells
from streams.report.document.names import name_cells
from streams.state import Fence, Writes
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import CounterReader, StoreUnavailableError
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.oracle.counting import INTERNAL, Document, count, people_with_counts
from tests.oracle.definition import read_funnel
from tests.oracle.generate import Case
from tests.oracle.history import World, read_log
from tests.oracle.values import person_of
from tests.support.counting import Counted, CountedReader, Going, count_linked, count_records
from tests.support.processing import logs_of

Record = tuple[bytes | None, bytes, int]
_SENDER = Sender(scope=Scope.HISTORICAL)


@dataclass(frozen=True)
class Run:
    """How the core is run."""

    batch_sizes: list[int]
    dump_and_load: bool
    general_only: bool
    max_persons: int | None = None
    max_person_events: int = MAX_PERSON_EVENTS


def random_run(rng: Random, case: Case) -> Run:
    """Any batches, any mode."""
    biggest = rng.choice([1, 3, 10, 1000])
    return Run(
        batch_sizes=[rng.randint(1, biggest) for _ in range(len(case.log) * case.partitions)],
        dump_and_load=rng.random() < 0.5,
        general_only=rng.random() < 0.2,
        max_persons=rng.choice([None, None, 1, 2]),
    )


def partition_of(person: str, partitions: int) -> int:
    """Where the log keeps a person's events."""
    return kafka_partition_of(person.encode(), partitions)


def records_of(case: Case) -> list[Record]:
    """The log's records as the collector writes them. A refused event is a mistake of the generator."""
    ingest = Ingest()
    records: list[Record] = []
    for line in case.log:
        if "forget" in line:
            records.append(((person_of(line) or "").encode(), encode_forget(line["forget"]), line["forget"]))
            continue
        verdict = ingest.native(json.dumps(line).encode(), sender=_SENDER, received_at_ms=None)
        if isinstance(verdict, Accepted):
            records += [(key, value, verdict.received_at_ms) for key, value in verdict.records]
        elif isinstance(verdict, Ticked):
            records.append((None, verdict.value, verdict.tick_ms))
        else:
            raise ValueError(f"the collector refuses {line}: {verdict}")
    return records


def funnels_of(definitions: Sequence[dict[str, Any]]) -> list[Funnel]:
    """Definitions as the product reads them."""
    return [parse_funnel(json.dumps(definition)) for definition in definitions]


def oracle_document(case: Case) -> Document:
    """What is right."""
    return count(
        case.funnel,
        case.log,
        watermark_delay_ms=case.watermark_delay_ms,
        partitions=case.partitions,
        partition_of=lambda person: partition_of(person, case.partitions),
    )


def oracle_world(case: Case) -> World:
    """Everything that the oracle knows after a case."""
    return read_log(
        read_funnel(case.funnel),
        case.log,
        watermark_delay_ms=case.watermark_delay_ms,
        partitions=case.partitions,
        partition_of=lambda person: partition_of(person, case.partitions),
    )


def core_document(case: Case, run: Run) -> Document:
    """What the pure core makes of it."""
    (document,) = core_documents([case.funnel], case, run)
    return document


def core_documents(
    definitions: Sequence[dict[str, Any]], case: Case, run: Run, *, with_rates: bool = False
) -> list[Document]:
    """Documents of the pure core alone."""
    counted = counted_of(definitions, case, run)
    return asyncio.run(_documents(CountedReader(counted), funnels_of(definitions), with_rates=with_rates))


def oracle_internal(case: Case) -> Counter[tuple[str, str, str | None]]:
    """What is right of what is counted for metrics alone: by stage, family and sub-key."""
    counts = (count for _, counts in people_with_counts(oracle_world(case)) for count in counts)
    return Counter((count.stage, count.family, count.sub) for count in counts if count.family in INTERNAL)


def core_internal(case: Case, run: Run) -> Counter[tuple[str, str, str | None]]:
    """What the pure core makes of that."""
    (counted,) = counted_of([case.funnel], case, run).values()
    (funnel,) = funnels_of([case.funnel])
    named = name_cells(funnel, merge_cells(counted.views), registers=counted.registers, for_metrics=True)
    amounts: Counter[tuple[str, str, str | None]] = Counter()
    for stage, cell in named.get("total", {}).get("all", {}).get("", {}).items():
        for family in INTERNAL:
            amount = cell.get(family, 0)
            by_sub = {None: amount} if isinstance(amount, int) else amount
            amounts.update({(stage, family, sub): number for sub, number in by_sub.items()})
    return amounts


def counted_of(definitions: Sequence[dict[str, Any]], case: Case, run: Run) -> dict[str, Counted]:
    """What the pure core leaves behind, by funnel_id."""
    return count_records(
        funnels_of(definitions),
        records_of(case),
        watermark_delay_ms=case.watermark_delay_ms,
        partitions=case.partitions,
        batch_sizes=run.batch_sizes,
        dump_and_load=run.dump_and_load,
        general_only=run.general_only,
        max_persons=run.max_persons,
        max_person_events=run.max_person_events,
    )


def stored_documents(definitions: Sequence[dict[str, Any]], case: Case, rng: Random) -> list[Document]:
    """Documents of workers over a store, each of which dies sooner or later, without rates."""
    return asyncio.run(_stored(definitions, case, rng, Published()))


def published_by_workers(case: Case, rng: Random) -> list[Outgoing]:
    """What such workers send out on their way, what was sent by one that died before its write included."""
    published = Published()
    asyncio.run(_stored([case.funnel], case, rng, published))
    return published.records


async def _documents(reader: CounterReader, funnels: Sequence[Funnel], *, with_rates: bool = False) -> list[Document]:
    documents = [dict(await build_document(reader, funnel)) for funnel in funnels]
    for document in documents:
        if not with_rates:
            del document["rates"]
    return documents


class Published:
    """Acknowledges everything. Implements `streams.worker.port.Publisher`."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    async def publish(self, records: Sequence[Outgoing]) -> None:
        self.records += records


class _FailingStore(MemoryPartitionStore):
    """A store whose connection breaks now and then, before a write or before its answer."""

    def __init__(self, space: MemorySpace, rng: Random) -> None:
        super().__init__(space)
        self._rng = rng

    async def apply(self, partition: int, fence: Fence, next_offset: int, writes: Writes) -> bool:
        chance = self._rng.random()
        if chance < 0.1:
            raise StoreUnavailableError("the connection broke before the write")
        applied = await super().apply(partition, fence, next_offset, writes)
        if chance < 0.2:
            raise StoreUnavailableError("the connection broke before the answer")
        return applied


async def _stored(
    definitions: Sequence[dict[str, Any]], case: Case, rng: Random, published: Published
) -> list[Document]:
    funnels = funnels_of(definitions)
    space = MemorySpace(clock_ms=lambda: 0)
    store = _FailingStore(space, rng)
    for partition, log in enumerate(logs_of(records_of(case), case.partitions)):
        await _consume(store, partition, log, funnels, case, rng, published)
    return await _documents(MemoryCounterReader(space), funnels)


async def _consume(
    store: _FailingStore,
    partition: int,
    log: list[LogRecord],
    funnels: list[Funnel],
    case: Case,
    rng: Random,
    published: Published,
) -> None:
    """Workers one after the other, until the log is counted and nothing is due."""
    while True:
        worker = PartitionProcessor(
            store,
            Place(partition, case.partitions),
            funnels,
            watermark_delay_ms=case.watermark_delay_ms,
            max_persons=rng.choice([1, 2, 1000]),
            publisher=published,
            clock_ms=lambda: 0,
        )
        await worker.claim()
        try:
            await worker.book_due()
            while worker.offset < len(log):
                end = min(len(log), worker.offset + rng.randint(1, 10))
                await worker.process(log[worker.offset : end], end)
                if rng.random() < 0.2:
                    break
            else:
                return
        except StoreUnavailableError:
            continue


def counted_document(case: Case, going: Going) -> Document:
    """What the core makes of a case whose ids are linked."""
    funnels = funnels_of([case.funnel])
    going = replace(going, watermark_delay_ms=case.watermark_delay_ms, partitions=case.partitions)
    counted = count_linked(funnels, records_of(case), going)
    (document,) = asyncio.run(_documents(CountedReader(counted), funnels))
    return document


def in_step(rng: Random) -> Going:
    """Record by record."""
    return Going(rng, in_step=True, dump_and_load=rng.random() < 0.5, general_only=rng.random() < 0.3)
