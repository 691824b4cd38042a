"""What a canary sends, and what it makes of the number that a funnel says."""

from __future__ import annotations

import pytest

from funnelcast.canary.account import Account
from funnelcast.canary.walks import route_of
from schemas.errors import UsageError
from schemas.funnel.load import load_funnels
from schemas.funnel.model import Funnel
from schemas.funnel.presets import preset_names

FUNNEL = {
    "name": "shop",
    "conversion_window": "1d",
    "stages": [
        {"name": "visit", "on": ["visit"]},
        {
            "name": "lead",
            "on": [
                {"event": "form", "where": {"form": ["contact", "demo"], "score": {"gt": 3}, "page": {"exists": True}}}
            ],
        },
        {"name": "never", "on": [{"event": "odd", "where": {"text": {"matches": "^[0-9]+$"}}}]},
        {"name": "payment", "on": [{"event": "paid", "where": {"value": {"gt": 0}}}], "order": True},
    ],
}


def funnel(**changed: object) -> Funnel:
    return Funnel.model_validate({**FUNNEL, **changed})


def test_a_walk_has_an_event_for_every_stage_that_the_rules_take() -> None:
    """And knows which other funnels see it too."""
    other = funnel(name="other", stages=[{"name": "start", "on": ["visit"]}, {"name": "end", "on": ["paid"]}])
    route = route_of([funnel(), other], source=None)
    assert {step.name: step.funnels for step in route.steps} == {
        "visit": ("shop@1", "other@1"),
        "form": ("shop@1",),
        "paid": ("shop@1", "other@1"),
    }
    assert route.left_out == ("shop never",)
    events = route.events("canary-1", 5)
    assert {event["properties"]["traffic"] for event in events} == {"canary"}
    assert len({event["id"] for event in events}) == len(events)


def test_sources_are_asked_and_every_preset_can_be_walked() -> None:
    assert route_of([funnel(sources=["crm"])], source=None).steps == ()
    assert len(route_of([funnel(sources=["crm"])], source="crm").steps) == 3
    for preset in preset_names():
        funnels = load_funnels([preset])
        assert route_of(funnels, source=None).left_out == (), preset


def test_a_funnel_that_counts_canaries_is_refused() -> None:
    with pytest.raises(UsageError, match="counts the traffic class canary"):
        route_of([funnel(traffic=["human", "canary"])], source=None)


def test_walks_arrive_when_the_funnel_has_left_out_as_many() -> None:
    account = Account()
    assert account.look(70, 0) == []  # of canaries before
    account.send(3, 1_000)
    account.send(3, 2_000)
    assert [walk.sent_at_ms for walk in account.look(73, 0)] == [1_000]
    assert (account.counted, account.missing, len(account.waiting)) == (3, 0, 1)
    assert [walk.sent_at_ms for walk in account.look(76, 0)] == [2_000]


def test_what_time_has_passed_is_missing_until_it_comes() -> None:
    account = Account()
    account.look(0, 0)
    account.send(3, 1_000)
    account.send(3, 2_000)
    assert account.look(2, 999) == []
    assert account.look(2, 1_000) == []
    assert (account.counted, account.missing, len(account.waiting)) == (2, 1, 1)
    assert [walk.sent_at_ms for walk in account.look(5, 1_000)] == [2_000]
    account.look(6, 3_000)  # the spool gave it back
    assert (account.counted, account.missing) == (6, 0)


def test_canaries_of_others_and_a_new_count_are_not_taken_for_ours() -> None:
    account = Account()
    account.look(0, 0)
    account.look(9, 0)
    assert account.counted == 0
    account.send(2, 1_000)
    account.look(10, 0)
    account.look(4, 0)  # another version of the funnel, or another store
    account.send(2, 2_000)
    assert [walk.sent_at_ms for walk in account.look(6, 0)] == [2_000]
    assert (account.sent, account.counted, account.missing) == (3, 3, 0)
