"""The benchmark's table: medians, targets, the result file."""

from __future__ import annotations

import json
from pathlib import Path

from bench.table import BEGIN, END, Figures, write_into


def filled() -> Figures:
    figures = Figures()
    for value in (19.0, 11.0, 12.0):
        figures.add("CPU", value, unit="us/event", target=16)
    for value in (50_000.0, 61_000.0, 59_000.0):
        figures.add("speed", value, unit="events/s", target=60_000, is_lower_better=False)
    figures.add("size", 0.25, unit="bytes")
    return figures


def test_median_best_and_verdict() -> None:
    cpu, speed, size = filled()
    assert (cpu.median, cpu.best, cpu.verdict) == (12.0, 11.0, "yes")
    assert (speed.median, speed.best, speed.verdict) == (59_000.0, 61_000.0, "no")
    assert size.verdict == ""


def test_the_table_lines_up() -> None:
    head, cpu, speed, size = filled().text().splitlines()
    assert head.split() == ["median", "best", "unit", "target", "reached"]
    assert cpu.split() == ["CPU", "12.0", "11.0", "us/event", "<=", "16.0", "yes"]
    assert speed.split() == ["speed", "59,000", "61,000", "events/s", ">=", "60,000", "no"]
    assert size.split() == ["size", "0.25", "0.25", "bytes"]


def test_the_result_file_names_machine_and_repetitions(tmp_path: Path) -> None:
    path = tmp_path / "results" / "latest.json"
    filled().save({"events": 10}, path)
    document = json.loads(path.read_text())
    assert document["machine"]["cores"] >= 1
    assert document["settings"] == {"events": 10}
    assert document["figures"]["CPU"] == {
        "unit": "us/event",
        "values": [19.0, 11.0, 12.0],
        "median": 12.0,
        "best": 11.0,
        "target": 16,
        "reached": True,
    }


def test_a_run_replaces_what_the_last_wrote_into_the_page(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Speed\n{BEGIN}\nold\n{END}\nwhat follows\n")
    figures = Figures()
    figures.part = "idle"
    figures.add("worker", 2.5, unit="% of a core", target=3)
    for _ in range(2):
        write_into(page, figures.markdown())
    rows = "| **idle** | | | | | |\n| worker | 2.5 | 2.5 | % of a core | <= 3.0 | yes |"
    head, _, tail = page.read_text().partition(rows)
    assert head.startswith(f"# Speed\n{BEGIN}\n| ")
    assert tail == f"\n{END}\nwhat follows\n"
