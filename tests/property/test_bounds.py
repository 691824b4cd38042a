"""What must stay exact where something grows without limit: a heavy person, long values, thousands of names."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.oracle.build import DAY, MINUTE, event, funnel, total
from tests.oracle.generate import Case
from tests.property.driver import Run, core_document, oracle_document
from tests.support.thorough import cases

STAGES = [
    {"name": "click", "on": ["click"], "abandon_after": "1h"},
    {"name": "lead", "on": ["lead"], "abandon_after": "1h"},
    {"name": "payment", "on": ["payment"], "order": True},
]
BY_CHANNEL = [{"name": "channel", "attribution": "first"}, {"name": "manager", "attribution": "stage"}]


def _documents(case: Case, run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    return oracle_document(case), core_document(case, run)


def test_a_person_with_thousands_of_kept_events_is_counted_exactly() -> None:
    """In order, late, copied and with orders: none of it is dropped, whatever the number. The oracle compares each with
    all, so they are fewer while one works."""
    rnd = Random(11)
    log = []
    count = cases(2_600, few=800)
    for at in range(count):
        name = rnd.choices(["click", "lead", "payment"], [90, 7, 3])[0]
        more = {"value": f"{at}.5", "order_id": f"o{at // 3}"} if name == "payment" else {"channel": f"c{at % 4}"}
        moment = at * MINUTE // 2
        occurred = moment - rnd.randrange(20 * MINUTE) if rnd.random() < 0.03 else moment
        log.append(event(name, occurred, id=f"e{at}", received=moment, **more))
        if rnd.random() < 0.03:
            log.append(dict(log[rnd.randrange(len(log))], received_at_ms=log[-1]["received_at_ms"]))
    definition = funnel(STAGES, dimensions=BY_CHANNEL, conversion_window="3d", allowed_lateness="1d")
    case = Case(definition, log, watermark_delay_ms=0)
    expected = oracle_document(case)
    for dump_and_load in (False, True):
        run = Run(batch_sizes=[count // 9] * 20, dump_and_load=dump_and_load, general_only=False)
        assert core_document(case, run) == expected
    assert expected["input"]["accepted"] >= 0.95 * count


def test_ten_thousand_channels_become_a_hundred_and_the_rest() -> None:
    """The cap holds the first names of the log; the parts still sum to the whole."""
    log = [event("click", at, who=f"p{at}", channel=f"Channel {at % 10_000}", manager="Ann") for at in range(12_000)]
    case = Case(funnel(STAGES, dimensions=BY_CHANNEL), log, watermark_delay_ms=0)
    expected, document = _documents(case, Run(batch_sizes=[5_000] * 3, dump_and_load=False, general_only=False))
    assert document == expected
    cells = document["counters"]["total"]["all"]
    channels = {cell: stages for cell, stages in cells.items() if cell.startswith("channel=")}
    assert len(channels) == 101
    assert channels["channel=other"]["click"]["entries"] == 12_000 - 100 * 2
    assert sum(stages["click"]["entries"] for stages in channels.values()) == cells[""]["click"]["entries"]


def test_values_are_trimmed_cut_and_compare_without_case() -> None:
    """Sixty-four characters of a value count; the rest does not make another value."""
    log = [
        event("click", 0, who="a", channel="  " + "X" * 64 + "tail one "),
        event("click", 1, who="b", channel="x" * 64 + "another tail"),
        event("click", 2, who="c", channel="x" * 63),
        event("click", 3, who="d", channel={"deep": 1}),
        event("click", 4, who="e", channel=""),
    ]
    case = Case(funnel(STAGES, dimensions=BY_CHANNEL), log, watermark_delay_ms=0)
    expected, document = _documents(case, Run(batch_sizes=[2, 2, 2], dump_and_load=True, general_only=False))
    assert document == expected
    assert total(document, "channel=" + "x" * 64)["click"]["entries"] == 2
    assert total(document, "channel=" + "x" * 63)["click"]["entries"] == 1
    assert total(document, "channel=unknown")["click"]["entries"] == 2


def test_a_person_of_two_years_is_counted_through_every_fold() -> None:
    """Four hundred journeys of one person, each folded away or dropped before the next."""
    log = [event("click", 2 * day * DAY, id=f"d{day}") for day in range(400)]
    definition = funnel(STAGES, dimensions=BY_CHANNEL, conversion_window="1d", allowed_lateness="1d")
    expected, document = _documents(
        Case(definition, log, watermark_delay_ms=0), Run(batch_sizes=[1] * 400, dump_and_load=True, general_only=False)
    )
    assert document == expected
    assert total(document)["click"]["abandoned.cohort"] == 399
