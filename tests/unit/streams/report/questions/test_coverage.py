"""Attribution coverage, and its line in the report."""

from __future__ import annotations

from rich.console import Console

from schemas.funnel.load import load_funnel, parse_funnel
from streams.report.document.shapes import CountersDocument, NamedCell
from streams.report.questions.coverage import coverage_of
from streams.report.questions.lines import Arrangement
from streams.report.tables.report import render_report

FUNNEL = load_funnel("sales")


def _cell(started: int, later: int = 0) -> NamedCell:
    return {"impression": {"entries": started, "started": started}, "lead": {"entries": later, "started": later}}


CELLS = {"": _cell(6, 2), "channel=email": _cell(5, 1), "channel=unknown": _cell(1, 1)}


def test_journeys_with_a_known_value_of_all_that_began_wherever_they_did() -> None:
    (name, rate), *others = coverage_of(FUNNEL, CELLS).items()
    assert (name, rate and (rate["numerator"], rate["denominator"])) == ("channel", (6, 8))
    assert others == []  # nothing is there of the other dimensions
    assert coverage_of(FUNNEL, {"": _cell(0), "channel=email": _cell(0)}) == {"channel": None}
    assert coverage_of(FUNNEL, {"channel=email": _cell(5)}) == {}


def test_a_pair_says_the_same_as_its_dimension() -> None:
    funnel = parse_funnel(
        """
name: pairs
conversion_window: 7d
stages: [{name: impression, on: [impression]}, {name: lead, on: [lead]}]
dimensions: [{name: channel, attribution: first}, {name: page, attribution: first}, {name: manager, attribution: stage}]
pairs: [[channel, manager], [page, channel]]
"""
    )
    managers = {"": _cell(6, 2), "channel=mail|manager=ann": _cell(5, 1), "channel=unknown|manager=bob": _cell(1, 1)}
    pages = {"": _cell(6, 2), "page=/|channel=mail": _cell(4, 2), "page=unknown|channel=unknown": _cell(2, 0)}
    counts = [
        {name: rate and (rate["numerator"], rate["denominator"]) for name, rate in coverage_of(funnel, cells).items()}
        for cells in (managers, pages)
    ]
    assert counts == [{"channel": (6, 8)}, {"channel": (6, 8), "page": (6, 8)}]


def test_the_report_says_it() -> None:
    document: CountersDocument = {
        "funnel": FUNNEL.name,
        "version": FUNNEL.version,
        "watermark_ms": None,
        "input": {
            "accepted": 8,
            "duplicates": 0,
            "late": 0,
            "persons": 8,
            "placeholder_ids": 0,
            "link_conflicts": 0,
            "left_out": {"bot": 3, "staff": 1},
        },
        "counters": {"total": {"all": CELLS}},
        "rates": [],
    }
    console = Console(width=200)
    with console.capture() as capture:
        console.print(render_report(FUNNEL, document))
    assert "left out: 3 bot, 1 staff" in capture.get()
    assert "first value of channel known: 75.0 % of 8 journeys" in capture.get()
    by_channel: CountersDocument = {**document, "counters": {"total": {"all": {k: v for k, v in CELLS.items() if k}}}}
    with console.capture() as capture:
        console.print(render_report(FUNNEL, by_channel, arrangement=Arrangement(is_of_values=True, top=1)))
    assert "first value of channel known: 75.0 % of 8 journeys" in capture.get()
