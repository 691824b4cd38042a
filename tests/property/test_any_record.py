"""Whatever stands in the log, the core counts what it can and never fails: a worker could not get past it otherwise."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from funnelcast.fuzz.json_mutations import odd_bytes, odd_json
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from streams.core.chunk import Record
from tests.support.counting import count_records

T0 = 1_750_000_000_000
FUNNELS = [load_funnel(name) for name in ("sales", "deal8", "b2b8")]
KEYS = (*(b"a:%d" % number for number in range(9)), None, b"", b"a:\0\xff", b"x:1")


def _names(funnel: Funnel) -> set[str]:
    rules = [rule for stage in funnel.stages for rule in stage.on]
    rules += [rule for lost in funnel.lost for rule in lost.on]
    return {rule.event for rule in rules} | {*funnel.refunds, *funnel.ad_spend}


NAMES = sorted(set().union(*(_names(funnel) for funnel in FUNNELS)))


def _event(rng: Random, number: int, at: int) -> dict[str, Any]:
    return {
        "id": f"e{rng.randrange(200)}",
        "name": rng.choice(NAMES),
        "occurred_at_ms": at - rng.randrange(10**7),
        "received_at_ms": at,
        "source": "web",
        "properties": {
            "channel": "google",
            "manager": "ann",
            "value": "1.5",
            "value_minor": 150,
            "currency": "EUR",
            "order_id": "o1",
            "refund_id": "r1",
            "reason": "price",
        },
        "placeholder_ids": 1,
        "seq": ["s", number],
    }


def _record(rng: Random, number: int) -> Record:
    at = T0 + number * 1000
    kind = rng.choices(("event", "tick", "forget"), weights=(18, 1, 1))[0]
    value = json.dumps(_event(rng, number, at) if kind == "event" else {kind: at}).encode()
    for _ in range(rng.choice((0, 1, 1, 2))):
        value = rng.choice((odd_json, odd_json, odd_bytes))(rng, value)
    return rng.choice(KEYS), value[:200_000], at


@pytest.mark.parametrize("seed", range(24))
def test_no_record_stops_the_core(seed: int) -> None:
    """Mutated events, ticks and forget records, under any key, stored and loaded again between them."""
    rng = Random(seed)
    records = [_record(rng, number) for number in range(300)]
    by_funnel = count_records(FUNNELS, records, batch_sizes=[7, 1, 50], dump_and_load=seed % 2 == 0)
    for funnel in FUNNELS:
        (view,) = by_funnel[funnel.funnel_id].views
        assert view.meta.records == len(records)


@pytest.mark.parametrize(
    "record",
    [
        {"id": "1", "name": "payment", "occurred_at_ms": 10**30, "received_at_ms": T0},
        {"id": "1", "name": "payment", "occurred_at_ms": T0, "received_at_ms": -(10**30)},
        {"id": "1", "name": "payment", "occurred_at_ms": T0, "received_at_ms": T0, "placeholder_ids": 2**63},
        {"id": "1", "name": "payment", "occurred_at_ms": T0, "received_at_ms": T0, "seq": ["s", 2**70]},
        {"tick": 2**80},
        {"forget": -(2**80)},
    ],
)
def test_numbers_that_fit_nowhere_are_not_stored(record: dict[str, Any]) -> None:
    again = (b"a:1", json.dumps(record).encode(), T0)
    by_funnel = count_records(FUNNELS, [again] * 4, batch_sizes=[1], dump_and_load=True)
    for counted in by_funnel.values():
        assert abs(counted.views[0].meta.watermark_ms or 0) <= T0 + 60_000


@pytest.mark.parametrize("value", [b'"\xff"', b'"\\ud800"', b"[" * 3000 + b"]" * 3000, b'{"\xff":1}'])
def test_an_amount_that_cannot_be_read_is_none(value: bytes) -> None:
    body = b'{"id":"1","name":"payment","occurred_at_ms":%d,"received_at_ms":%d,"properties":{"%b":%b}}'
    for member in (b"value", b"value_minor", b"amount"):
        by_funnel = count_records(FUNNELS, [(b"a:1", body % (T0, T0, member, value), T0)])
        assert by_funnel[FUNNELS[0].funnel_id].views[0].meta.stats[FUNNELS[0].funnel_id]["accepted"] <= 1
