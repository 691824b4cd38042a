"""What is published of journeys is what the oracle says of them in the end, also by workers that die on the way.

A reader drops what it has seen by its id and keeps, of each entry, the last change.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

from streams.core.outgoing import Outgoing, OutgoingKind
from streams.core.place import Place
from streams.store.memory import MemoryPartitionStore, MemorySpace
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.oracle.build import MINUTE, T0, event, funnel
from tests.oracle.deals import lines_of
from tests.oracle.definition import read_funnel
from tests.oracle.generate import Case, Wants
from tests.oracle.journeys import Entry, entries_of, steps_of
from tests.oracle.orders import orders_of
from tests.property.cases import law
from tests.property.driver import (
    Published,
    core_document,
    funnels_of,
    oracle_document,
    oracle_world,
    partition_of,
    published_by_workers,
    random_run,
    records_of,
)

Known = tuple[str, str, int, str, int, str | None]
"""(person, stage, entered at, change, at, reason)."""


def publishing(case: Case) -> Case:
    return replace(case, funnel={**case.funnel, "journeys": True})


def read_once(records: Iterable[Outgoing]) -> list[dict[str, Any]]:
    """As a reader takes them: every id once."""
    documents = [json.loads(record.value) for record in records if record.kind is OutgoingKind.JOURNEY]
    taken: dict[str, dict[str, Any]] = {}
    for document in documents:
        taken.setdefault(document["id"], document)
    return list(taken.values())


def changes_of_each(changes: Iterable[dict[str, Any]]) -> dict[Any, list[tuple[str, str, str]]]:
    """By entry: what it was, what it became, and the id, one after the other."""
    known: dict[Any, list[tuple[str, str, str]]] = {}
    for each in changes:
        key = (each["person"], each["deal"], each["stage"], each["entered_at_ms"])
        known.setdefault(key, []).append((each["was"], each["change"], each["id"]))
    return known


def is_the_same_however_cut(case: Case, rng: Random) -> None:
    case = publishing(case)
    first, second = (changes_of_each(read_once(published_by_workers(case, rng))) for _ in range(2))
    assert first == second


def known_in_the_end(changes: Iterable[dict[str, Any]]) -> Counter[Known]:
    """The last of every entry, without those that are open or no more."""
    last = {(each["person"], each["deal"], each["stage"], each["entered_at_ms"]): each for each in changes}
    return Counter(
        (each["person"], each["stage"], each["entered_at_ms"], each["change"], each["at_ms"], each["reason"])
        for each in last.values()
        if each["change"] not in ("open", "withdrawn")
    )


def right(case: Case) -> Counter[Known]:
    """What the oracle says of every entry that is not plainly open."""
    definition = read_funnel(case.funnel)
    world = oracle_world(case)
    known: Counter[Known] = Counter()
    for key, person in world.people.items():
        steps = steps_of(definition, person.events, orders_of(definition, person.events))
        now = max([world.watermarks[person.partition], *(step.event.occurred for step in steps)])
        for journey in lines_of(definition, steps):
            for entry in entries_of(definition, journey, now):
                stage = definition.stages[entry.stage]
                state, at, reason = state_of(entry, stalled_after=stage.stalled_after)
                if state != "open":
                    known[key, stage.name, entry.at, state, at, reason] += 1
    return known


def state_of(entry: Entry, *, stalled_after: int | None) -> tuple[str, int, str | None]:
    if entry.is_revived or entry.outcome == "advanced":
        return "revived" if entry.is_revived else "advanced", int(entry.next_at), None
    if entry.outcome == "lost" and entry.loss is not None:
        return "lost", entry.loss.occurred, entry.loss.reason
    if entry.outcome == "abandoned":
        return "abandoned", entry.deadline, None
    if entry.is_stalled:
        return "stalled", entry.at + (stalled_after or 0), None
    return entry.outcome, entry.at, None


@law(Wants(max_partitions=2), share=0.7)
def test_what_is_published_is_what_became_of_every_entry(case: Case, rng: Random) -> None:
    """By workers that die between publishing and writing, in whatever pieces they read the log."""
    case = publishing(case)
    assert known_in_the_end(read_once(published_by_workers(case, rng))) == right(case)


@law(Wants(max_partitions=2), share=0.7)
def test_the_order_of_changes_does_not_depend_on_how_the_log_is_cut(case: Case, rng: Random) -> None:
    """A worker that goes on from older counts cuts the log in other places than the one before it: a reader, who drops
    what it knows, would else put changes of the first in front of those of the second."""
    is_the_same_however_cut(case, rng)


@law(Wants(links=True, max_partitions=1), share=0.7)
def test_nor_does_what_a_link_moves(case: Case, rng: Random) -> None:
    """Neither what the lower id loses, nor what the higher one gets."""
    is_the_same_however_cut(case, rng)


@law(share=0.3)
def test_a_funnel_that_publishes_counts_the_same(case: Case, rng: Random) -> None:
    """To publish changes no number."""
    case = publishing(case)
    assert core_document(case, random_run(rng, case)) == oracle_document(case)


@law(Wants(links=True, max_partitions=1), share=0.3)
def test_what_a_link_moves_is_published_of_both(case: Case, rng: Random) -> None:
    """Entries leave the lower id, `withdrawn`, and are published of the higher one."""
    case = publishing(case)
    assert known_in_the_end(read_once(published_by_workers(case, rng))) == right(case)


def test_a_change_has_the_names_that_another_partition_registered() -> None:
    """What a linked id hands on has codes: the partition that it comes to may never have seen their names."""
    device, account = (
        next(f"{who}{number}" for number in range(99) if partition_of(f"{kind}:{who}{number}", 2) == partition)
        for partition, (kind, who) in enumerate([("a", "d"), ("u", "u")])
    )
    lost = {**event("gone", 3 * MINUTE, reason="Price"), "user_id": None, "anonymous_id": device}
    visit = {**event("visit", channel="Fair"), "user_id": None, "anonymous_id": device}
    buy = {**event("buy", 2 * MINUTE, who=account), "anonymous_id": device}
    case = Case(
        funnel(
            ["visit", "buy", "done"],
            journeys=True,
            lost=[{"on": ["gone"]}],
            dimensions=[{"name": "channel", "attribution": "first"}],
        ),
        [visit, buy, lost],
    )
    changes = asyncio.run(_published_by_two(case))
    own = [one for one in changes if one["person"] == f"u:{account}"]
    assert {(one["stage"], one["change"], one["reason"], one["values"]["channel"]) for one in own} >= {
        ("visit", "advanced", None, "fair"),
        ("buy", "lost", "price", "fair"),
    }


async def _published_by_two(case: Case) -> list[dict[str, Any]]:
    """By workers of two partitions that were claimed before anything came."""
    published, store = Published(), MemoryPartitionStore(MemorySpace())
    workers = [PartitionProcessor(store, Place(at, 2), funnels_of([case.funnel]), publisher=published) for at in (0, 1)]
    for worker in workers:
        await worker.claim()

    async def come(key: bytes, value: bytes) -> None:
        worker = workers[partition_of(key.decode(), 2)]
        await worker.process([LogRecord(key, value, T0, worker.offset)], worker.offset + 1)

    for key, value, _ in records_of(case):
        assert key is not None
        await come(key, value)
    for record in [each for each in published.records if each.kind is OutgoingKind.FORWARD]:
        await come(record.key, record.value)
    return [json.loads(each.value) for each in published.records if each.kind is OutgoingKind.JOURNEY]
