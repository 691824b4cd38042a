"""Tables in narrow terminals: fewer columns, and never half a number."""

from __future__ import annotations

import io

from rich.console import Console

from schemas.funnel.load import load_funnel
from streams.report.document.rates import rates_of
from streams.report.document.shapes import CountersDocument, NamedCell
from streams.report.tables.report import render_cell, render_report
from tests.support.rows import rows

FUNNEL = load_funnel("sales")
CELL: NamedCell = {
    stage.name: {
        "events": 1_234_567,
        "entries": 1_000_000,
        "started": 1_000_000,
        "advanced.cohort": 420_000,
        "abandoned.cohort": 79_999,
        "open": 500_001,
        "orders": {"EUR": 12_345, "USD": 9},
        "revenue": {"EUR": 1_234_567_890, "USD": 987_654},
    }
    for stage in FUNNEL.stages
}
DOCUMENT: CountersDocument = {
    "funnel": FUNNEL.name,
    "version": FUNNEL.version,
    "watermark_ms": 1_735_725_600_000,
    "input": {"accepted": 1, "duplicates": 0, "late": 0, "persons": 1, "placeholder_ids": 0, "link_conflicts": 0},
    "counters": {"total": {"all": {"": CELL}}},
    "rates": [{"grain": "total", "bucket": "all", "dim": "", **rates_of(FUNNEL, CELL)}],
}


@rows("width", [60, 80, 100, 140])
@rows("which", ["report", "cell"])
def test_no_cell_is_cut(which: str, width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width)
    console.print(render_report(FUNNEL, DOCUMENT) if which == "report" else render_cell(FUNNEL, CELL))
    shown = out.getvalue()
    assert "…" not in shown
    assert ("no room for" in shown) == (width < 140)
    assert "repeat_purchase" in shown
    assert "12,345,678.90 EUR" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width
