"""Figures of a run and how they are shown: medians of the repetitions, their minimum, the target. Measures nothing."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEAD = ("", "median", "best", "unit", "target", "reached")
BEGIN, END = "<!-- written by make bench -->", "<!-- end of what make bench writes -->"
RESULTS = Path(__file__).with_name("results") / "latest.json"


@dataclass(slots=True)
class Figure:
    """One measured quantity, once per repetition."""

    name: str
    unit: str
    target: float | None = None
    is_lower_better: bool = True
    part: str = ""
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """What is reported."""
        return statistics.median(self.values)

    @property
    def best(self) -> float:
        """What a quiet machine comes nearer to."""
        return min(self.values) if self.is_lower_better else max(self.values)

    @property
    def verdict(self) -> str:
        """`yes` or `no` against the target; empty without one."""
        if self.target is None:
            return ""
        reached = self.median <= self.target if self.is_lower_better else self.median >= self.target
        return "yes" if reached else "no"

    def as_dict(self) -> dict[str, Any]:
        """For the result file."""
        plain: dict[str, Any] = {"unit": self.unit, "values": [round(one, 4) for one in self.values]}
        plain |= {"median": round(self.median, 4), "best": round(self.best, 4)}
        return plain if self.target is None else plain | {"target": self.target, "reached": self.verdict == "yes"}


class Figures:
    """All figures of a run, in the order in which they were first measured."""

    def __init__(self) -> None:
        self._figures: dict[str, Figure] = {}
        self.part = ""
        """Whose figures are being added."""

    def add(
        self, name: str, value: float, *, unit: str, target: float | None = None, is_lower_better: bool = True
    ) -> None:
        """One more repetition of a figure."""
        figure = self._figures.setdefault(name, Figure(name, unit, target, is_lower_better, self.part))
        figure.values.append(value)

    def __iter__(self) -> Iterator[Figure]:
        return iter(self._figures.values())

    def __len__(self) -> int:
        return len(self._figures)

    def text(self) -> str:
        """The table."""
        rows = [HEAD, *(_row(figure) for figure in self)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        right = (1, 2)
        lines = [
            "  ".join(cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row))
            for row in rows
        ]
        return "\n".join(line.rstrip() for line in lines)

    def markdown(self) -> str:
        """The table for docs/performance.md, part by part."""
        lines = ["| " + " | ".join(HEAD) + " |", "|---|---|---|---|---|---|"]
        part = ""
        for figure in self:
            if figure.part != part:
                part = figure.part
                lines.append(f"| **{part}** | | | | | |")
            lines.append("| " + " | ".join(_row(figure)) + " |")
        return "\n".join(lines)

    def save(self, settings: dict[str, Any], path: Path = RESULTS) -> None:
        """Write the result file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"machine": machine(), "settings": settings, "figures": {one.name: one.as_dict() for one in self}}
        path.write_text(json.dumps(document, indent=1) + "\n")


def write_into(page: Path, text: str, *, begin: str = BEGIN, end: str = END) -> None:
    """Put what was measured between the two marks of a page."""
    before, _, after = page.read_text("utf-8").partition(begin)
    if end not in after:
        raise ValueError(f"{page} has no place for the table: {begin} and {end}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after.partition(end)[2]}", "utf-8")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _row(figure: Figure) -> tuple[str, ...]:
    sign = "<=" if figure.is_lower_better else ">="
    target = "" if figure.target is None else f"{sign} {_number(figure.target)}"
    return figure.name, _number(figure.median), _number(figure.best), figure.unit, target, figure.verdict


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
