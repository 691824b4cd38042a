"""Ids that are linked (semantics.md 7): the laws with events that have several ids, compared with the oracle, which
assigns every event to a person and counts each person's set."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from funnelcast.replay.memory import Refusals, ReplayJob, replay_through_memory
from streams.core.plan import Plan
from tests.oracle.build import HOUR, T0, event, funnel
from tests.oracle.generate import Case, Log, Wants
from tests.oracle.history import SILENCE_MS
from tests.property.balances import check_balances
from tests.property.cases import assert_same, law, order_free
from tests.property.driver import counted_document, funnels_of, in_step, oracle_document
from tests.support.counting import Going

LINKS = Wants(links=True)


def on_their_own(rng: Random) -> Going:
    """In any interleaving, with workers that die."""
    return Going(
        rng, in_step=False, dump_and_load=rng.random() < 0.5, general_only=rng.random() < 0.2, dies=rng.random() < 0.5
    )


def no_order(case: Case) -> Case:
    """The case with copies that agree whoever sends them, and nothing that depends on when a forward arrives."""
    first: dict[tuple[str, str], dict[str, object]] = {}
    log: Log = []
    for record in case.log:
        if "tick" not in record:
            said = first.setdefault((record["source"], record["id"]), record)
            record = {**record, **{key: said[key] for key in ("name", "occurred_at_ms", "properties")}}
            record["received_at_ms"] = max(record["received_at_ms"], record["occurred_at_ms"])
        log.append(record)
    return order_free(replace(case, log=log))


def outlives_links(case: Case) -> bool:
    """Whether an id may be silent for so long that its link ends: a forward that comes after that finds none."""
    times: list[int] = [record["tick"] if "tick" in record else record["received_at_ms"] for record in case.log]
    times += [record["occurred_at_ms"] for record in case.log if "tick" not in record]
    return max(times) - min(times) >= SILENCE_MS


def assert_same_but_persons(expected: Any, counted: Any) -> None:
    """Whether somebody is gone for good, or not yet, when they come again depends on when forwards arrive."""
    persons = {"persons": expected["input"]["persons"]}
    assert_same(expected, {**{key: counted[key] for key in expected}, "input": {**counted["input"], **persons}})


@law(LINKS)
def test_the_core_equals_the_oracle_in_step(case: Case, rng: Random) -> None:
    """Whatever is late, a copy, an order, withdrawn or behind the horizon."""
    assert_same(oracle_document(case), counted_document(case, in_step(rng)))


@law(Wants(links=True, max_partitions=4), share=0.5)
def test_links_cross_partitions(case: Case, rng: Random) -> None:
    """Each with its own watermark."""
    assert_same(oracle_document(case), counted_document(case, in_step(rng)))


@law(Wants(links=True, max_partitions=4, small_caps=False))
def test_partitions_on_their_own(case: Case, rng: Random) -> None:
    """Whenever a forward arrives, however often it is sent: the document is the same."""
    case = no_order(case)
    if outlives_links(case):
        return
    assert_same_but_persons(oracle_document(case), counted_document(case, on_their_own(rng)))


@law(Wants(links=True, max_partitions=4), share=0.5)
def test_a_replay_through_memory_waits_in_time(case: Case, rng: Random) -> None:
    """In chunks, with a log in any disorder: no forward comes too late for its partition."""
    case = no_order(case)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "events.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in case.log))
        job = ReplayJob(
            funnels=tuple(funnels_of([case.funnel])),
            references=(),
            events=path,
            partitions=case.partitions,
            watermark_delay_ms=case.watermark_delay_ms,
        )
        (document,) = asyncio.run(replay_through_memory(job, Refusals(path)))
    assert_same_but_persons(oracle_document(case), document)


@law(Wants(links=True, max_events=150, people=2, ticks=False), share=0.2)
def test_heavy_people_are_linked(case: Case, rng: Random) -> None:
    """With all their sealed pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "seal", rng.choice([1, 2, 3]))
        assert_same(oracle_document(case), counted_document(case, in_step(rng)))


@law(Wants(links=True, forgets=True), share=0.3)
def test_who_is_forgotten_loses_links_too(case: Case, rng: Random) -> None:
    """The id may be claimed anew."""
    assert_same(oracle_document(case), counted_document(case, in_step(rng)))


@law(LINKS, share=0.3)
def test_sums_and_balances(case: Case, rng: Random) -> None:
    """Outcomes still balance."""
    check_balances(case.funnel, counted_document(case, in_step(rng)))


def test_a_refund_behind_the_horizon_keeps_a_person_for_one_lead_in() -> None:
    """Its other events go to the person it is linked to, and it is still there."""
    stages = [{"name": "inquiry", "on": ["inquiry"]}, {"name": "offer", "on": ["offer"]}]
    definition = funnel(stages, unit="deal_id", conversion_window="8h", allowed_lateness="12h", lead_in="4h")
    visitor = {"user_id": None, "anonymous_id": "d"}
    log = [
        event("inquiry", 20 * HOUR, deal_id="A") | visitor,
        event("refund", 6 * HOUR // 10, received=12 * HOUR) | visitor,
        event("noise", 21 * HOUR, received=22 * HOUR) | visitor | {"contact_id": "c"},
    ]
    case = Case(definition, log, watermark_delay_ms=0)
    document = counted_document(case, Going(Random(1), in_step=True, dump_and_load=True, general_only=False))
    assert_same(oracle_document(case), document)
    assert document["input"]["persons"] == 2


def test_what_a_linked_contact_keeps_and_passes_on_may_come_in_one_chunk() -> None:
    """Two events of a device reach its contact together: the older is the contact's own, the newer the account's."""
    hour = 3_600_000
    stages = [{"name": "s0", "on": ["e0"]}, {"name": "s1", "on": ["e1"]}]
    funnel = {"name": "f", "version": 1, "conversion_window": "4h", "allowed_lateness": "200h", "stages": stages}

    def event(name: str, at: int, received: int, **ids: str) -> dict[str, object]:
        times = {"occurred_at_ms": T0 + at * hour, "received_at_ms": T0 + received * hour}
        return {"id": f"{name}-{at}", "name": name, **times, **ids, "source": "web", "properties": {}}

    log = [
        event("e0", 0, 0, anonymous_id="d0", contact_id="c0"),
        event("e0", 40, 40, contact_id="c0", user_id="u0"),
        event("e1", 1, 44, anonymous_id="d0"),
        event("e1", 41, 45, anonymous_id="d0"),
    ]
    case = Case(funnel, log, partitions=4)
    for seed in range(20):
        for general in (False, True):
            going = Going(Random(seed), in_step=False, dump_and_load=True, general_only=general)
            assert_same(oracle_document(case), counted_document(case, going))
