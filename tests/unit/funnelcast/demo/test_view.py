"""What the demo says of a document: figures that can be checked by hand, and one line while it runs."""

from __future__ import annotations

import io
from importlib import resources

from rich.console import Console

from funnelcast.demo.view import History, Pulse, View, entries_line, history_lines
from schemas.funnel.load import load_funnel
from streams.report.document.rates import rates_of
from streams.report.document.shapes import CountersDocument, NamedCell

FUNNEL = load_funnel(str(resources.files("funnelcast") / "data" / "cdnow.yaml"))
FIRST, SECOND = (stage.name for stage in FUNNEL.stages[:2])
CELL: NamedCell = {
    FIRST: {
        "entries": 400,
        "advanced.cohort": 100,
        "open": 100,
        "orders": {"USD": 400},
        "revenue": {"USD": 1_500_000},
        "transitions.cohort": {SECOND: 90},
    },
    SECOND: {"entries": 100, "completed": 100, "orders": {"USD": 100}, "revenue": {"USD": 500_050}},
}


def document(cell: NamedCell) -> CountersDocument:
    return {
        "funnel": FUNNEL.name,
        "version": FUNNEL.version,
        "watermark_ms": None,
        "input": {
            "accepted": 500,
            "duplicates": 3,
            "late": 1,
            "persons": 400,
            "placeholder_ids": 0,
            "link_conflicts": 0,
        },
        "counters": {"total": {"all": {"": cell}}} if cell else {},
        "rates": [{"grain": "total", "bucket": "all", "dim": "", **rates_of(FUNNEL, cell)}],
    }


def test_the_figures_of_the_history() -> None:
    lines = history_lines(History(funnel=FUNNEL, document=document(CELL), seconds=12.3))
    assert lines[0] == "CDNOW: 400 customers made 500 purchases: 20,000.50 USD in revenue"
    assert lines[1].startswith(
        "CDNOW: 100 bought again (25.0%), 90 of them within 180 days of the first; average 40.00"
    )
    assert "12.3 s" in lines[2]


def test_nothing_counted_yet_is_no_error() -> None:
    lines = history_lines(History(funnel=FUNNEL, document=document({}), seconds=0))
    assert lines[0] == "CDNOW: 0 customers made 0 purchases: 0.00 USD in revenue"
    assert entries_line(FUNNEL, document({})) == f"{FIRST} 0, {SECOND} 0, further_purchase 0"


def test_one_line_while_it_runs_marks_what_can_still_grow() -> None:
    assert entries_line(FUNNEL, document(CELL)) == f"{FIRST} 400 (*25.0 %), {SECOND} 100 (0.0 %), further_purchase 0"


def test_off_a_terminal_the_view_prints_a_line_and_in_the_end_both_tables() -> None:
    out = io.StringIO()
    view = View(Console(file=out, width=100))
    view.show(FUNNEL, document(CELL), pulse=Pulse(1.0, None, None, None, 0))
    view.final(History(funnel=FUNNEL, document=document(CELL), seconds=1.0), FUNNEL, document=document(CELL))
    shown = out.getvalue()
    assert f"{FIRST} 400 (*25.0 %)" in shown
    assert shown.count("20,000.50 USD") >= 2
    assert "live shop: 500 events counted once, 3 duplicates recognised, 1 late, 400 visitors" in shown
