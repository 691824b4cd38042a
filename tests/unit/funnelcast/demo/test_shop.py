"""The demo's visitors: as many events as asked for, each handed out when it is due and not before."""

from __future__ import annotations

from collections import Counter
from importlib import resources

from funnelcast.demo.shop import Shop
from schemas.funnel.load import load_funnel

T0 = 1_735_689_600_000


def test_rate_and_order() -> None:
    shop = Shop(seed=3, events_per_second=300)
    seen: Counter[str] = Counter()
    for second in range(1, 121):
        now = T0 + second * 1000
        for event in shop.due(now):
            assert event["occurred_at_ms"] <= now
            seen[event["name"]] += 1
    assert 250 < seen.total() / 120 < 350
    assert seen["impression"] > seen["click"] > seen["lead"] > seen["offer"] > 0 < seen["lead_lost"]
    assert seen["payment"] > 0


def test_every_event_has_a_place_in_the_funnel() -> None:
    funnel = load_funnel(str(resources.files("funnelcast") / "data" / "shop.yaml"))
    names = {rule.event for stage in funnel.stages for rule in stage.on}
    names |= {rule.event for lost in funnel.lost for rule in lost.on}
    shop = Shop(seed=3)
    shop.due(T0)
    assert {event["name"] for event in shop.due(T0 + 60_000)} == names


def test_the_same_seed_draws_the_same_visitors() -> None:
    first, second = Shop(seed=7), Shop(seed=7)
    for shop in (first, second):
        shop.due(T0)
    assert first.due(T0 + 5_000) == second.due(T0 + 5_000)
