"""The second opinion of a chaos run agrees with the tests' oracle, and tells a lost event from a double one."""

from __future__ import annotations

from importlib import resources

import yaml

from funnelcast.chaos.events import START_MS, arrivals, make_events
from funnelcast.chaos.oracle import JOURNEYS_STAGES, STAGES, checked_cells, expected, lost_and_double
from funnelcast.chaos.published import judged
from schemas.funnel.definition import definition_of
from schemas.funnel.load import load_funnel
from tests.oracle import counting
from tests.support.rows import rows
from tests.support.thorough import cases

DATA = resources.files("funnelcast") / "data"


@rows("name, stages", [("chaos.yaml", STAGES), ("chaos_journeys.yaml", JOURNEYS_STAGES)])
def test_agrees_with_the_brute_force_oracle(name: str, stages: tuple[str, ...]) -> None:
    events = make_events(5, cases(4_000, few=1_000))
    lines = [event.native(received_at) for received_at, event in arrivals(5, events)]
    lines.append({"tick": START_MS + 30 * 86_400_000})
    definition = definition_of(load_funnel(str(DATA / name)))
    assert yaml.safe_load(yaml.safe_dump(definition)) == definition
    document = counting.count(definition, lines, watermark_delay_ms=60_000)
    assert expected(events, stages).cells == checked_cells(document["counters"])
    assert len({event.ids for event in events}) == 7


def test_a_change_that_is_lost_or_published_twice_is_seen() -> None:
    want = expected(make_events(5, 500), JOURNEYS_STAGES).outcomes
    published = [
        {"id": str(number), "person": person, "stage": stage, "entered_at_ms": entered}
        | {"change": change, "at_ms": at, "reason": reason}
        for number, ((person, stage, entered), (change, at, reason)) in enumerate(want.items())
    ]
    right = judged([*published, *published], want)
    assert (right.changes, right.repeated, right.lost, right.double) == (len(want), len(want), 0, 0)
    missing, again = judged(published[1:], want), judged([*published, {**published[0], "id": "other"}], want)
    assert (missing.lost, missing.double, again.lost, again.double) == (1, 0, 0, 1)
    unknown, wrong = {**published[0], "id": "x", "person": "u:nobody"}, {**published[0], "change": "open"}
    stray = judged([*published, unknown], want)
    assert (stray.lost, stray.double) == (0, 1)
    assert judged([wrong, *published[1:]], want).lost == 1


def test_log_has_the_promised_mess() -> None:
    count = cases(20_000, few=5_000)
    events = make_events(3, count)
    log = arrivals(3, events)
    assert log == arrivals(3, make_events(3, count))
    assert 0.09 < len(log) / len(events) - 1 < 0.11
    newest, late = 0, 0
    for _, event in log:
        late += event.at_ms < newest
        newest = max(newest, event.at_ms)
    assert late / len(log) > 0.09
    moments = [(event.person, event.at_ms) for event in events]
    assert len(set(moments)) == len(moments)


def test_lost_and_double_do_not_hide_each_other() -> None:
    want = expected(make_events(3, 1_000)).cells
    cells = [key for key in want if key[0] == "hour" and key[2] and key[4] == "events"]
    have = dict(want)
    have[cells[0]] -= 1
    have[cells[1]] += 2
    assert lost_and_double(want, want) == (0, 0)
    assert lost_and_double(want, have) == (1, 2)
