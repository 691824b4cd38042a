"""What was spent on advertising counts once, by the statement that stands, whatever was stated before it and when."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

from tests.oracle.generate import Case, Wants
from tests.property.cases import assert_same, law
from tests.property.driver import core_document, oracle_document, random_run, stored_documents

DAYS = ["2025-01-01", "2025-01-02", " 2025-01-02 ", None]
AMOUNTS = ["10", "2.505", 7, "0", "1e3"]
CURRENCIES = [None, None, "EUR", "jpy"]
CHANNELS = ["google", "Google ", "mail", None, 3, ["x"]]


def statement(rng: Random, beside: dict[str, Any]) -> dict[str, Any]:
    """A statement received with another event."""
    received: int = beside["tick"] if "tick" in beside else beside["received_at_ms"]
    stated = {
        "day": rng.choice(DAYS),
        rng.choice(["value", "amount"]): rng.choice(AMOUNTS),
        "currency": rng.choice(CURRENCIES),
        "channel": rng.choice(CHANNELS),
        "campaign": rng.choice(["a", "b", None]),
        "kind": rng.choice(["a", "b", "new", None]),
    }
    return {
        "id": f"s{rng.randint(0, 9)}",
        "name": rng.choice(["ad_spend", "Ad Spend"]),
        "occurred_at_ms": received - rng.choice([0, 0, 90_000_000_000]),
        "received_at_ms": received,
        "source": rng.choice(["web", "ads"]),
        "user_id": rng.choice([None, None, "u0"]),
        "properties": {name: value for name, value in stated.items() if value is not None or rng.random() < 0.1},
    }


def with_spend(rng: Random, case: Case) -> Case:
    """The case with statements anywhere among its events, many of them for the same day and campaign."""
    log = list(case.log)
    for _ in range(rng.randint(1, 20)):
        at = rng.randrange(len(log))
        log.insert(at + 1, statement(rng, log[at]))
    return replace(case, log=log)


@law(Wants(max_partitions=3))
def test_spend_equals_the_oracle(case: Case, rng: Random) -> None:
    """In any batches, after any reload, beside people in several partitions."""
    case = with_spend(rng, case)
    assert_same(oracle_document(case), core_document(case, random_run(rng, case)))


@law(Wants(max_partitions=3), share=0.2)
def test_workers_that_die_count_every_statement_once(case: Case, rng: Random) -> None:
    """Through the processor and a store whose connection breaks before or after a write."""
    case = with_spend(rng, case)
    (document,) = stored_documents([case.funnel], case, rng)
    assert_same(oracle_document(case), document)


@law(Wants(small_caps=False, ticks=False), share=0.3)
def test_the_order_of_statements_changes_nothing(case: Case, rng: Random) -> None:
    """The one received last stands, wherever it lies in the log; a copy of one changes nothing."""
    received = max(line["received_at_ms"] for line in case.log)
    said = [
        {**statement(rng, {"received_at_ms": received - rng.randint(0, 3)}), "id": f"s{number}"} for number in range(12)
    ]
    shuffled = [*said, *rng.sample(said, 6)]
    rng.shuffle(shuffled)
    first, second = ([*case.log, *more] for more in (said, shuffled))
    before, after = (core_document(replace(case, log=log), random_run(rng, case)) for log in (first, second))
    assert json.dumps(before["counters"]) == json.dumps(after["counters"])
