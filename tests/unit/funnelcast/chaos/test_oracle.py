"""The second opinion of a chaos run agrees with the tests' oracle, and tells a lost event from a double one."""

from __future__ import annotations

from importlib import resources

import yaml

from funnelcast.chaos.events import START_MS, arrivals, make_events
from funnelcast.chaos.oracle import checked_cells, expected, lost_and_double
from schemas.funnel.definition import definition_of
from schemas.funnel.load import load_funnel
from tests.oracle import counting
from tests.support.thorough import cases

DEFINITION = str(resources.files("funnelcast") / "data" / "chaos.yaml")


def test_agrees_with_the_brute_force_oracle() -> None:
    events = make_events(5, cases(4_000, few=1_000))
    lines = [event.native(received_at) for received_at, event in arrivals(5, events)]
    lines.append({"tick": START_MS + 30 * 86_400_000})
    definition = definition_of(load_funnel(DEFINITION))
    assert yaml.safe_load(yaml.safe_dump(definition)) == definition
    document = counting.count(definition, lines, watermark_delay_ms=60_000)
    assert expected(events) == checked_cells(document["counters"])


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
    want = expected(make_events(3, 1_000))
    cells = [key for key in want if key[0] == "hour" and key[2] and key[4] == "events"]
    have = dict(want)
    have[cells[0]] -= 1
    have[cells[1]] += 2
    assert lost_and_double(want, want) == (0, 0)
    assert lost_and_double(want, have) == (1, 2)
