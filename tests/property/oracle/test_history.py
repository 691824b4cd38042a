"""What the oracle takes into a history, each figure worked out by hand."""

from __future__ import annotations

from typing import Any

from tests.oracle.build import DAY, HOUR, MINUTE, SECOND, T0, counted, event, funnel, tick, total
from tests.oracle.values import Amount, amount_of, person_of, placeholders_in, plain_text, real_id, same_name
from tests.support.rows import rows

SHOP = funnel(["view", "click", {"name": "pay", "on": ["pay"], "order": True}])


def _inputs(document: dict[str, Any]) -> tuple[int, int, int]:
    said = document["input"]
    return said["accepted"], said["duplicates"], said["late"]


def test_names_compare_without_case_and_with_one_separator() -> None:
    assert {same_name(text) for text in ("Order Completed", " order-completed", "ORDER_COMPLETED ")} == {
        "order_completed"
    }


@rows(
    ("properties", "minor", "currency"),
    [
        ({"value": "19.99"}, 1999, "EUR"),
        ({"value": 19.99}, 1999, "EUR"),
        ({"value": "0.005"}, 0, "EUR"),
        ({"value": "0.015"}, 2, "EUR"),
        ({"value": "1.005", "currency": "USD"}, 100, "USD"),
        ({"value": 2.5, "currency": "jpy"}, 2, "JPY"),
        ({"value": 3.5, "currency": "JPY"}, 4, "JPY"),
        ({"value": "1.2345", "currency": "KWD"}, 1234, "KWD"),
        ({"amount": 7}, 700, "EUR"),
        ({"value": None, "amount": 7}, 700, "EUR"),
        ({"value_minor": 250}, 250, "EUR"),
        ({"value": 1, "amount": 7}, 100, "EUR"),
    ],
)
def test_money_is_exact_and_half_even(properties: dict[str, Any], minor: int, currency: str) -> None:
    assert amount_of(properties, "EUR") == Amount(minor, currency)


@rows(
    "properties",
    [
        {},
        {"value": "abc"},
        {"value": "abc", "amount": 7},
        {"value": -1},
        {"value": True},
        {"value": []},
        {"value": "NaN"},
        {"value": "Infinity"},
        {"value": "1_000"},
        {"value": 1, "currency": "EU"},
        {"value": 1, "currency": 5},
        {"value": 1, "currency": ""},
    ],
)
def test_what_is_no_amount(properties: dict[str, Any]) -> None:
    assert amount_of(properties, "EUR") is None


def test_the_highest_real_id_names_the_person() -> None:
    assert person_of({"user_id": " u1 ", "contact_id": "c", "anonymous_id": "d"}) == "u:u1"
    assert person_of({"user_id": "Guest", "contact_id": "c", "anonymous_id": "d"}) == "c:c"
    assert person_of({"user_id": 0, "anonymous_id": "d"}) == "a:d"
    assert person_of({"user_id": 17}) == "u:17"
    assert person_of({"user_id": "", "anonymous_id": "[object Object]"}) is None
    assert placeholders_in({"user_id": "", "contact_id": None, "anonymous_id": "0" * 32}) == 2
    assert real_id("00000000-0000-0000-0000-000000000000") is None


def test_text_of_a_value() -> None:
    values: list[Any] = [" Google ", 5, True, "", None, [], {}, "y" * 70]
    assert [plain_text(value) for value in values] == [
        "google",
        "5",
        "true",
        None,
        None,
        None,
        None,
        "y" * 64,
    ]


def test_the_copy_that_occurred_earliest_counts_whatever_the_order() -> None:
    early, late = event("view", 1000, id="a"), event("click", 2000, id="a", received=3000)
    for log in ([early, late], [late, {**early, "received_at_ms": T0 + 4000}]):
        document = counted(SHOP, log)
        assert total(document) == {"view": {"entries": 1, "events": 1, "open": 1, "started": 1}}
        assert _inputs(document) == (1, 1, 0)


def test_of_copies_of_one_instant_the_first_in_the_log_stays() -> None:
    assert set(total(counted(SHOP, [event("view", id="a"), event("click", id="a")]))) == {"view"}


def test_same_id_of_another_source_or_person_is_another_event() -> None:
    log = [event("view", id="a"), event("view", id="a", source="crm"), event("view", id="a", who="q")]
    assert _inputs(counted(SHOP, log)) == (3, 0, 0)


def test_a_copy_whose_name_no_rule_looks_at_is_no_copy() -> None:
    assert _inputs(counted(SHOP, [event("view", id="a"), event("noise", id="a")])) == (1, 0, 0)


def test_late_by_more_than_the_lateness_whatever_else_arrived() -> None:
    assert _inputs(counted(SHOP, [event("view", 0, received=DAY), event("view", -1, received=DAY)])) == (1, 0, 1)


def test_late_is_judged_before_copies_are() -> None:
    log = [event("view", 0, id="a"), event("view", 0, id="a", received=DAY + 1)]
    assert _inputs(counted(SHOP, log)) == (1, 0, 1)


def test_late_behind_the_horizon_moved_by_its_own_record() -> None:
    # delay 1 h, window 1 d, lateness 1 d: the tick at +2 d + 1 h puts the horizon exactly at T0
    edge = tick(2 * DAY + HOUR)
    assert _inputs(counted(SHOP, [edge, event("view", 0)], watermark_delay_ms=HOUR)) == (1, 0, 0)
    assert _inputs(counted(SHOP, [edge, event("view", -1)], watermark_delay_ms=HOUR)) == (0, 0, 1)


def test_records_the_funnel_does_not_look_at_move_the_watermark() -> None:
    document = counted(SHOP, [event("noise", 2 * DAY + 1), event("view", 0)])
    assert document["watermark_ms"] == T0 + 2 * DAY + 1
    assert _inputs(document) == (0, 0, 1)


def test_a_copy_of_an_event_behind_the_horizon_is_a_new_event() -> None:
    log = [
        event("view", 0, id="a"),
        tick(2 * DAY),
        event("view", 10, id="a", received=HOUR),
        tick(2 * DAY + 1),
        event("view", 10, id="a", received=HOUR),
        event("view", 20, id="a", received=HOUR),
    ]
    document = counted(SHOP, log)
    assert _inputs(document) == (2, 2, 0)
    assert total(document)["view"]["events"] == 2


def test_sources_leave_the_rest_out() -> None:
    document = counted({**SHOP, "sources": ["crm"]}, [event("view"), event("view", 1, source="crm")])
    assert _inputs(document) == (1, 0, 0)


def test_traffic_other_than_that_of_the_funnel_is_left_out_and_counted_by_class() -> None:
    log = [
        event("view", at, **({} if said is None else {"traffic": said}))
        for at, said in enumerate([None, "human", "bot", " Bot", "staff", "organic"])
    ]
    document = counted(SHOP, log)
    assert _inputs(document) == (3, 0, 0)
    assert document["input"]["left_out"] == {"bot": 2, "staff": 1}
    assert _inputs(counted({**SHOP, "traffic": ["bot"]}, log)) == (2, 0, 0)


def test_ticks_and_the_final_watermark_move_every_partition() -> None:
    def partition_of(person: str) -> int:
        return int(person == "u:q")

    log = [event("view", 0), event("view", MINUTE, who="q")]
    document = counted(SHOP, log, partitions=2, partition_of=partition_of)
    assert document["watermark_ms"] == T0
    document = counted(SHOP, log, partitions=2, partition_of=partition_of, final_watermark_ms=T0 + 30 * SECOND)
    assert document["watermark_ms"] == T0 + 30 * SECOND
    document = counted(SHOP, [*log, tick(HOUR)], partitions=2, partition_of=partition_of, watermark_delay_ms=MINUTE)
    assert document["watermark_ms"] == T0 + HOUR - MINUTE


def test_an_order_happens_at_its_earliest_event_and_further_ones_are_events_only() -> None:
    log = [
        event("pay", 2000, id="b", order_id="o1", value=5),
        event("pay", 1000, id="c", order_id=" o1 ", value=3, received=2000),
        event("pay", 3000, id="d", order_id="o1", value=9),
    ]
    assert total(counted(SHOP, log)) == {
        "pay": {
            "completed": 1,
            "customers": 1,
            "entries": 1,
            "events": 3,
            "lifetime": {"EUR 0": 300},
            "orders": {"EUR": 1},
            "reached": 1,
            "revenue": {"EUR": 300},
            "started": 1,
        }
    }


def test_orders_without_an_id_or_with_a_placeholder_are_the_events_themselves() -> None:
    log = [event("pay", 1), event("pay", 2, order_id="N/A"), event("pay", 3, order_id=None), event("pay", 4)]
    assert total(counted(SHOP, log))["pay"]["orders"] == {"EUR": 4}


def test_order_ids_are_remembered_for_life() -> None:
    log = [event("pay", 0, order_id="o1", value=1), tick(90 * DAY), event("pay", 90 * DAY, order_id="o1", value=1)]
    document = counted(SHOP, log)
    assert total(document)["pay"]["orders"] == {"EUR": 1}
    assert total(document)["pay"]["events"] == 2


def test_an_order_without_an_amount_counts_in_the_funnels_currency() -> None:
    log = [event("pay", 1, value=2, currency="USD"), event("pay", 2, value="x", currency="USD"), event("pay", 3)]
    document = counted(SHOP, log)
    assert total(document)["pay"]["orders"] == {"EUR": 2, "USD": 1}
    assert total(document)["pay"]["revenue"] == {"USD": 200}


NTH = funnel(
    [
        "view",
        {"name": "pay", "on": ["pay"], "order": True},
        {"name": "again", "on": ["pay"], "nth": 2},
        {"name": "regular", "on": ["pay"], "nth": 4},
    ]
)


def test_nth_counts_distinct_orders_in_time_order() -> None:
    log = [event("pay", at, order_id=f"o{at}") for at in (5, 1, 3, 9, 7)]
    for sent in log:
        sent["received_at_ms"] = T0 + 9
    orders = {stage: cell["orders"]["EUR"] for stage, cell in total(counted(NTH, log)).items()}
    assert orders == {"pay": 1, "again": 2, "regular": 2}


def test_an_order_below_every_nth_counts_towards_nth_and_nowhere_else() -> None:
    only_second = funnel(["view", {"name": "again", "on": ["pay"], "nth": 2}])
    document = counted(only_second, [event("pay", 0, value=1)])
    assert document["counters"] == {}
    assert _inputs(document) == (1, 0, 0)
    document = counted(only_second, [event("pay", 0, value=1), event("pay", 1, value=2)])
    assert total(document)["again"]["revenue"] == {"EUR": 200}


def test_orders_of_one_instant_are_ranked_by_tie() -> None:
    ids = ["a", "b", "c", "d"]
    documents = [
        counted(NTH, [event("pay", 0, id=one, value=at + 1) for at, one in enumerate(ids)]),
        counted(NTH, [event("pay", 0, id=one, value=at + 1) for at, one in reversed([*enumerate(ids)])]),
    ]
    assert documents[0] == documents[1]


def test_a_lost_rule_wins_over_a_stage() -> None:
    definition = {**SHOP, "lost": [{"on": [{"event": "pay", "where": {"status": "failed"}}], "reason": "Failed"}]}
    assert set(total(counted(definition, [event("pay", 0, status="failed", value=5)]))) == {"lost"}


def test_an_event_belongs_to_the_furthest_stage_it_matches() -> None:
    definition = funnel(
        ["a", {"name": "b", "on": ["a", "b"]}, {"name": "c", "on": [{"event": "a", "where": {"x": 1}}]}]
    )
    assert set(total(counted(definition, [event("a", 0)]))) == {"b"}
    assert set(total(counted(definition, [event("a", 0, x=1)]))) == {"c"}


@rows(
    ("where", "hits"),
    [
        ({"x": "a"}, ["a"]),
        ({"x": ["a", 3]}, ["a", 3, 3.0]),
        ({"x": {"gt": 2}}, [3, 3.0, "3"]),
        ({"x": {"gte": 2, "lt": 3}}, [2]),
        ({"x": {"ne": "a"}}, [2, 3, 3.0, "3", True]),
        ({"x": {"exists": True}}, ["a", 2, 3, 3.0, "3", True]),
        ({"x": {"exists": False}}, [None]),
        ({"x": True}, [True]),
    ],
)
def test_conditions(where: dict[str, Any], hits: list[Any]) -> None:
    definition = funnel([{"name": "a", "on": [{"event": "a", "where": where}]}, "b"])
    values = ["a", 2, 3, 3.0, "3", True, None]
    matching = [value for value in values if counted(definition, [event("a", 0, x=value)])["counters"]]
    assert [repr(value) for value in matching] == [repr(value) for value in hits]


def test_a_person_of_whom_nothing_is_kept_is_new_when_it_comes_again() -> None:
    log = [event("view", 0), tick(2 * DAY + HOUR), event("view", 2 * DAY + HOUR), event("view", 30 * DAY)]
    assert counted(SHOP, log)["input"]["persons"] == 2
    assert counted(SHOP, [event("pay", 0), *log])["input"]["persons"] == 1
