"""Journeys, outcomes and buckets by the oracle, each figure worked out by hand."""

from __future__ import annotations

from typing import Any

from tests.oracle.build import DAY, HOUR, MINUTE, SECOND, T0, counted, event, funnel, tick, total
from tests.oracle.counting import edge_of, local_day
from tests.support.rows import rows

ABC = funnel(
    [{"name": "a", "on": ["a"], "abandon_after": "10m"}, {"name": "b", "on": ["b"], "abandon_after": "1h"}, "c"]
)
LOSING = {**ABC, "lost": [{"on": ["gone"]}]}


def _outcome(document: dict[str, Any], stage: str) -> dict[str, Any]:
    """The cohort view of a stage without histograms."""
    names = ("advanced.cohort", "lost.cohort", "abandoned.cohort", "open", "completed", "revived.cohort")
    return {name: value for name, value in total(document).get(stage, {}).items() if name in names}


def test_a_straight_journey() -> None:
    document = counted(ABC, [event("a", 0), event("b", MINUTE), event("c", HOUR)])
    assert total(document) == {
        "a": {
            "advanced.cohort": 1,
            "advanced.period": 1,
            "duration_seconds": {"b": 60},
            "durations": {"b 60": 1},
            "entries": 1,
            "events": 1,
            "started": 1,
            "transitions.cohort": {"b": 1},
            "transitions.period": {"b": 1},
        },
        "b": {
            "advanced.cohort": 1,
            "advanced.period": 1,
            "duration_seconds": {"c": 3540},
            "durations": {"c 3600": 1},
            "entries": 1,
            "events": 1,
            "transitions.cohort": {"c": 1},
            "transitions.period": {"c": 1},
        },
        "c": {"completed": 1, "entries": 1, "events": 1},
    }


def test_a_stage_already_passed_is_an_event_and_no_entry() -> None:
    document = counted(ABC, [event("b", 0), event("a", 1), event("b", 2)])
    assert "entries" not in total(document)["a"]
    assert total(document)["b"]["events"] == 2
    assert total(document)["b"]["entries"] == 1


def test_stages_of_one_instant_are_entered_in_their_order() -> None:
    document = counted(ABC, [event("c", 0), event("b", 0), event("a", 0)])
    assert [total(document)[stage]["entries"] for stage in "abc"] == [1, 1, 1]
    assert total(document)["a"]["durations"] == {"b 10": 1}


def test_skipped_stages_lie_at_the_entry_that_jumped_over_them() -> None:
    definition = funnel(["a", "b", "c", "d"], dimensions=[{"name": "m", "attribution": "stage"}])
    document = counted(definition, [event("a", 0, m="x"), event("d", 2 * HOUR, m="y")])
    assert document["counters"]["hour"]["2025-01-01T12Z"]["m=y"]["b"] == {"skipped": 1}
    assert document["counters"]["hour"]["2025-01-01T12Z"]["m=y"]["a"] == {"transitions.period": {"d": 1}}
    assert total(document, "m=x")["a"]["transitions.cohort"] == {"d": 1}
    assert total(document)["a"]["advanced.cohort"] == 1


def test_a_journey_may_start_in_the_middle_and_skips_nothing() -> None:
    assert total(counted(ABC, [event("c", 0)])) == {"c": {"completed": 1, "entries": 1, "events": 1, "started": 1}}


def test_the_window_is_inclusive() -> None:
    within = counted(ABC, [event("a", 0), event("a", DAY)])
    beyond = counted(ABC, [event("a", 0), event("a", DAY + 1)])
    assert (total(within)["a"]["entries"], total(beyond)["a"]["entries"]) == (1, 2)


@rows(("now", "expected"), [(10 * MINUTE, {"open": 1}), (10 * MINUTE + 1, {"abandoned.cohort": 1})])
def test_abandoned_only_after_the_deadline(now: int, expected: dict[str, int]) -> None:
    document = counted(ABC, [event("a", 0), tick(now)])
    assert _outcome(document, "a") == expected


def test_abandonment_is_booked_at_the_deadline() -> None:
    document = counted(ABC, [event("b", 0), tick(2 * HOUR)])
    assert document["counters"]["hour"]["2025-01-01T11Z"][""] == {"b": {"abandoned.period": 1}}
    assert document["counters"]["hour"]["2025-01-01T10Z"][""]["b"]["abandoned.cohort"] == 1


def test_the_window_bounds_the_deadline() -> None:
    definition = funnel([{"name": "a", "on": ["a"]}, {"name": "b", "on": ["b"], "abandon_after": "1d"}, "c"])
    log = [event("a", 0), event("b", HOUR)]
    assert _outcome(counted(definition, [*log, tick(DAY)]), "b") == {"open": 1}
    assert _outcome(counted(definition, [*log, tick(DAY + 1)]), "b") == {"abandoned.cohort": 1}


def test_advance_at_the_deadline_counts_and_after_it_is_a_revival() -> None:
    assert _outcome(counted(ABC, [event("a", 0), event("b", 10 * MINUTE)]), "a") == {"advanced.cohort": 1}
    revived = counted(ABC, [event("a", 0), event("b", 10 * MINUTE + 1)])
    assert _outcome(revived, "a") == {"abandoned.cohort": 1, "revived.cohort": 1}
    assert total(revived)["a"]["transitions.cohort"] == {"b": 1}


def test_an_advance_before_the_deadline_that_arrives_after_it_is_a_retraction() -> None:
    log = [event("a", 0), tick(HOUR), event("b", 10 * MINUTE, received=HOUR)]
    assert _outcome(counted(ABC, log), "a") == {"advanced.cohort": 1}


def test_the_persons_own_newest_event_counts_as_now() -> None:
    log = [event("a", 0), event("a", 11 * MINUTE)]
    assert _outcome(counted(ABC, log, watermark_delay_ms=HOUR), "a") == {"abandoned.cohort": 1}
    assert _outcome(counted(ABC, [log[0], event("a", 11 * MINUTE, "q")], watermark_delay_ms=HOUR), "a") == {"open": 2}


def test_a_newest_event_replaced_by_an_earlier_copy_takes_now_back() -> None:
    log = [event("a", 0), event("a", 11 * MINUTE, id="x"), event("a", 5 * MINUTE, id="x", received=11 * MINUTE)]
    assert _outcome(counted(ABC, log, watermark_delay_ms=HOUR), "a") == {"open": 1}


def test_lost_events_outside_a_journey_still_make_now() -> None:
    definition = {**LOSING, "conversion_window": "1h", "stages": funnel(["a", "b"])["stages"]}
    document = counted(definition, [event("a", 0), event("gone", HOUR + 1)], watermark_delay_ms=HOUR)
    assert _outcome(document, "a") == {"abandoned.cohort": 1}
    assert total(document)["lost"] == {"events": 1}


def test_lost_with_its_reason() -> None:
    document = counted(LOSING, [event("a", 0), event("gone", MINUTE, reason=" Price ")])
    assert _outcome(document, "a") == {"lost.cohort": {"price": 1}}
    assert total(document)["a"]["lost.period"] == {"price": 1}
    document = counted(LOSING, [event("a", 0), event("gone", MINUTE)])
    assert _outcome(document, "a") == {"lost.cohort": {"unknown": 1}}


def test_the_first_loss_gives_the_reason_and_a_loss_after_the_deadline_does_not_count() -> None:
    log = [event("a", 0), event("gone", 2, reason="y"), event("gone", 1, reason="x", received=2)]
    assert _outcome(counted(LOSING, log), "a") == {"lost.cohort": {"x": 1}}
    assert _outcome(counted(LOSING, [event("a", 0), event("gone", 10 * MINUTE)]), "a") == {
        "lost.cohort": {"unknown": 1}
    }
    late = counted(LOSING, [event("a", 0), event("gone", 10 * MINUTE + 1)])
    assert _outcome(late, "a") == {"abandoned.cohort": 1}


def test_a_loss_at_the_instant_of_the_advance_belongs_to_the_new_stage() -> None:
    document = counted(LOSING, [event("a", 0), event("gone", 5), event("b", 5)])
    assert _outcome(document, "a") == {"advanced.cohort": 1}
    assert _outcome(document, "b") == {"lost.cohort": {"unknown": 1}}


def test_a_loss_before_the_advance_is_revived_by_it() -> None:
    document = counted(LOSING, [event("a", 0), event("gone", 4), event("b", 5)])
    assert _outcome(document, "a") == {"lost.cohort": {"unknown": 1}, "revived.cohort": 1}
    assert total(document)["a"]["revived.period"] == 1
    assert "advanced.cohort" not in total(document)["a"]


def test_a_loss_at_the_instant_of_a_start_belongs_to_that_journey_and_one_before_to_none() -> None:
    assert _outcome(counted(LOSING, [event("gone", 0), event("a", 0)]), "a") == {"lost.cohort": {"unknown": 1}}
    assert _outcome(counted(LOSING, [event("gone", 0), event("a", 1)]), "a") == {"open": 1}


def test_completed_at_once_whatever_follows() -> None:
    document = counted(LOSING, [event("c", 0), event("gone", 1), tick(5 * DAY)])
    assert _outcome(document, "c") == {"completed": 1}


def test_stalled_past_its_time_while_open() -> None:
    definition = funnel([{"name": "a", "on": ["a"], "stalled_after": "1h"}, "b"])
    assert "stalled" not in total(counted(definition, [event("a", 0), tick(HOUR)]))["a"]
    assert total(counted(definition, [event("a", 0), tick(HOUR + 1)]))["a"]["stalled"] == 1
    assert "stalled" not in total(counted(definition, [event("a", 0), tick(DAY + 1)]))["a"]


def test_reentry_by_completion() -> None:
    definition = {**ABC, "reentry": "completion"}
    log = [event("a", 0), event("c", 1), event("c", 2), event("a", 3), event("b", 4), event("c", 5)]
    document = counted(definition, log)
    assert [total(document)[stage]["entries"] for stage in "abc"] == [2, 1, 2]
    assert total(document)["c"]["events"] == 3
    assert [total(counted(ABC, log))[stage].get("entries", 0) for stage in "abc"] == [1, 0, 1]


def test_completion_at_one_instant_sorts_by_stage_first() -> None:
    document = counted({**ABC, "reentry": "completion"}, [event("c", 0), event("a", 0), event("a", 1)])
    assert [total(document)[stage]["entries"] for stage in "ac"] == [2, 1]


def test_first_values_follow_an_earlier_event_and_stage_values_stay() -> None:
    definition = funnel(
        ["a", "b"],
        dimensions=[{"name": "f", "attribution": "first"}, {"name": "s", "attribution": "stage"}],
        pairs=[["f", "s"]],
    )
    log = [event("b", 10, f="x", s="x"), event("a", 5, f="y", s="y", received=10)]
    document = counted(definition, log)
    assert total(document, "f=y|s=x") == {
        "a": {"transitions.period": {"b": 1}},
        "b": {"completed": 1, "entries": 1},
    }
    assert total(document, "f=x|s=x") == {"b": {"events": 1}}
    assert total(document, "f=y|s=y")["a"]["advanced.cohort"] == 1
    later = counted(definition, [event("a", 0), event("b", 1, f="z")])
    assert total(later, "f=unknown")["b"]["entries"] == 1


def test_listed_values_caps_and_the_first_names_in_the_log() -> None:
    listed = funnel(["a", "b"], dimensions=[{"name": "m", "attribution": "stage", "values": ["Ann"]}])
    cells = counted(listed, [event("a", at, f"p{at}", m=m) for at, m in enumerate(["ANN", "bob", None])])
    assert set(cells["counters"]["total"]["all"]) == {"", "m=ann", "m=other", "m=unknown"}
    capped = funnel(["a", "b"], dimensions=[{"name": "m", "attribution": "stage", "cap": 1}])
    cells = counted(capped, [event("a", at, m=m) for at, m in enumerate(["unknown", "other", "x", "y", "X"])])
    events = {cell: stages["a"]["events"] for cell, stages in cells["counters"]["total"]["all"].items()}
    assert events == {"": 5, 'm="unknown"': 1, "m=other": 4}


def test_reasons_are_capped_too() -> None:
    log = [event(name, 2 * at, f"p{at}", reason=f"r{at}") for at in range(103) for name in ("a", "gone")]
    lost = total(counted(LOSING, log))["a"]["lost.cohort"]
    assert len(lost) == 101
    assert lost["other"] == 3


def test_value_and_open_value_are_of_the_entering_event() -> None:
    log = [event("a", 0, value=5, currency="USD"), event("a", 1, value=7), event("b", 2, value=2)]
    document = counted(ABC, log)
    assert total(document)["a"]["value"] == {"USD": 500}
    assert "open_value" not in total(document)["a"]
    assert total(document)["b"]["open_value"] == {"EUR": 200}


def test_won_wants_an_order_stage_entered_after_it() -> None:
    definition = funnel(["a", {"name": "b", "on": ["b"], "order": True}, "c"])
    document = counted(definition, [event("a", 0), event("b", 1, value=3), event("c", 2)])
    assert [total(document)[stage].get("won", 0) for stage in "abc"] == [1, 0, 0]
    assert "value" not in total(document)["b"]


def test_refunds_stand_under_their_order() -> None:
    definition = funnel(
        ["a", {"name": "b", "on": ["pay"], "order": True}, {"name": "c", "on": ["pay"], "nth": 2}],
        dimensions=[{"name": "s", "attribution": "stage"}],
    )
    log = [
        event("pay", 0, order_id="o1", value=9, s="x"),
        event("pay", 1, order_id="o2", value=9, s="y"),
        event("refund", 2, order_id="o2", refund_id="r", value=4, s="z"),
        event("refund", 3, order_id="o2", refund_id="r", value=4),
        event("refund", 4, order_id="o9", value=1),
    ]
    document = counted(definition, log)
    assert total(document, "s=y")["c"]["refunds"] == {"EUR": 400}
    assert total(document, "s=unknown")["b"]["refunds"] == {"EUR": 100}


def test_of_spend_statements_the_latest_stands() -> None:
    definition = funnel(["a", "b"], dimensions=[{"name": "channel", "attribution": "first"}])

    def spend(amount: int, received: int) -> dict[str, Any]:
        more: dict[str, Any] = {"day": "2025-01-03", "channel": "Fb", "amount": amount}
        return {**event("ad_spend", 0, received=received, **more), "id": f"x{amount}", "user_id": None}

    document = counted(definition, [spend(10, 5), spend(30, 9), spend(20, 7)])
    assert document["counters"]["day"]["2025-01-03"]["channel=fb"] == {"": {"spend": {"EUR": 3000}}}
    assert "hour" not in document["counters"]


@rows(
    ("ms", "edge"),
    [
        (0, "10"),
        (10_000, "10"),
        (10_001, "60"),
        (90 * DAY, "7776000"),
        (90 * DAY + 1, "10368000"),
        (DAY, "86400"),
        (365 * DAY, "31536000"),
        (365 * DAY + 1, "inf"),
    ],
)
def test_edges_are_inclusive(ms: int, edge: str) -> None:
    assert edge_of(ms) == edge


def test_days_have_the_boundaries_of_the_time_zone() -> None:
    spring = 1_743_282_000_000  # 2025-03-29T21:00Z; in Athens the 30th starts at 22:00Z and is 23 h long
    assert [local_day(spring + hours * HOUR, "Europe/Athens") for hours in (0, 1, 23, 24)] == [
        "2025-03-29",
        "2025-03-30",
        "2025-03-30",
        "2025-03-31",
    ]
    assert local_day(1_325_239_200_000 - 1, "Pacific/Apia") == "2011-12-29"
    assert local_day(1_325_239_200_000, "Pacific/Apia") == "2011-12-31"
    assert local_day(-1, "UTC") == "1969-12-31"


def test_minutes_and_hours_are_left_out_past_their_keep_time() -> None:
    counters = counted(ABC, [event("a", 0), tick(2 * DAY + MINUTE - 1)])["counters"]
    assert "2025-01-01T10:00Z" in counters["minute"]
    gone = counted(ABC, [event("a", 0), tick(2 * DAY + MINUTE)])["counters"]
    assert "2025-01-01T10:00Z" not in gone["minute"]
    assert "2025-01-01T10Z" in gone["hour"]
    gone = counted(ABC, [event("a", 0), tick(90 * DAY + HOUR)])["counters"]
    assert "2025-01-01T10Z" not in gone.get("hour", {})
    assert "2025-01-01" in gone["day"]


def test_minutes_hold_the_whole_only() -> None:
    definition = {**ABC, "dimensions": [{"name": "m", "attribution": "stage"}]}
    cells = counted(definition, [event("a", 0, m="x")])["counters"]
    assert set(cells["minute"]["2025-01-01T10:00Z"]) == {""}
    assert set(cells["hour"]["2025-01-01T10Z"]) == {"", "m=x"}


def test_the_document_is_of_contract_form() -> None:
    document = counted(ABC, [event("a", 30 * SECOND)], watermark_delay_ms=MINUTE)
    cell = {"a": {"entries": 1, "events": 1, "open": 1, "started": 1}}
    assert document == {
        "funnel": "f",
        "version": 1,
        "watermark_ms": T0 - 30 * SECOND,
        "input": {
            "accepted": 1,
            "duplicates": 0,
            "late": 0,
            "persons": 1,
            "placeholder_ids": 0,
            "link_conflicts": 0,
        },
        "counters": {
            "day": {"2025-01-01": {"": cell}},
            "hour": {"2025-01-01T10Z": {"": cell}},
            "minute": {"2025-01-01T10:00Z": {"": cell}},
            "total": {"all": {"": cell}},
        },
    }
