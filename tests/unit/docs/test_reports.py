"""docs/reports.md lists the families and rates that a document has, and its example is one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_type_hints

from schemas.counters import FAMILY_NAMES, INTERNAL
from streams.report.document.shapes import CountersDocument, InputCounts, Money, Rates

TEXT = (Path(__file__).parents[3] / "docs/reports.md").read_text(encoding="utf-8")


def _section(heading: str) -> str:
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def _first_cells(section: str) -> str:
    return "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))


def test_every_family_is_listed() -> None:
    listed = set(re.findall(r"`([a-z_.]+)`", _first_cells(_section("The counters document"))))
    shown = {name for family, name in FAMILY_NAMES.items() if family not in INTERNAL}
    assert listed == {*shown, "open", "lost"}


def test_every_rate_is_listed() -> None:
    section = _section("Rates")
    assert set(re.findall(r"`([a-z_]+)`", _first_cells(section))) == set(get_type_hints(Rates))
    money = next(line for line in section.splitlines() if line.startswith("| `money`"))
    assert set(re.findall(r"`([a-z]+)`", money)) == {"money", "null", *get_type_hints(Money)}


def test_the_example_has_every_member() -> None:
    example = json.loads(TEXT.partition("```json\n")[2].partition("```")[0])
    assert set(example) == set(get_type_hints(CountersDocument))
    assert set(example["input"]) == set(get_type_hints(InputCounts))
