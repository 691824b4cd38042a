"""The table of a run: medians over the repetitions, and who could not be measured and why. Measures nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.peers.measure import Run

HEAD = (
    "",
    "CPU, us/event",
    "read loops",
    "CPU with its start",
    "CPU of the broker",
    "events/s",
    "memory, MB",
    "repetitions",
)
BEGIN, END = "<!-- written by make bench-peers -->", "<!-- end of what make bench-peers writes -->"


@dataclass(slots=True)
class Column:
    """What was measured of one contender."""

    runs: list[Run] = field(default_factory=list)
    loops: list[float] = field(default_factory=list)
    """CPU over that of the read loop of the same repetition."""
    failures: list[str] = field(default_factory=list)

    def median(self, of: Callable[[Run], float]) -> float:
        """Over the repetitions."""
        return statistics.median(map(of, self.runs))


class Table:
    """All contenders in the order in which they were first met."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}
        self._loops: list[float] = []

    def loop(self, us: float) -> None:
        """The bare read loop of one more repetition."""
        self._loops.append(us)

    def add(self, name: str, run: Run) -> None:
        """One more repetition of a contender, after this repetition's loop."""
        column = self._columns.setdefault(name, Column())
        column.runs.append(run)
        column.loops.append(run.us / self._loops[-1])

    def fail(self, name: str, reason: str) -> None:
        """A repetition in which a contender could not be measured. It has its turn in the next one again."""
        self._columns.setdefault(name, Column()).failures.append(reason)

    def rows(self) -> list[Sequence[str]]:
        """Those that were measured."""
        loop = f"{statistics.median(self._loops):.1f}"
        rows: list[Sequence[str]] = [("read loop (aiokafka, orjson)", loop, "1", "", "", "", "", str(len(self._loops)))]
        return rows + [_row(name, column) for name, column in self._columns.items() if column.runs]

    def failures(self) -> list[str]:
        """Who could not be measured in some repetition, or in any, and why."""
        return [
            f"{name}, not measured in {len(column.failures)} of {len(self._loops)} repetitions: {column.failures[-1]}"
            for name, column in self._columns.items()
            if column.failures
        ]

    def markdown(self) -> str:
        """For docs/performance.md: of a failure its first line, the rest names files of this machine."""
        lines = [_line(HEAD), "|---" * len(HEAD) + "|", *map(_line, self.rows())]
        lines += [f"\n{failure.partition(chr(10))[0]} (the output of the run has more)" for failure in self.failures()]
        return "\n".join(lines)

    def text(self) -> str:
        """For a terminal."""
        rows = [HEAD, *self.rows()]
        widths = [max(len(row[number]) for row in rows) for number in range(len(HEAD))]
        lines = [
            "  ".join(cell.rjust(width) if number else cell.ljust(width) for number, (cell, width) in enumerate(cells))
            for cells in (tuple(zip(row, widths, strict=True)) for row in rows)
        ]
        return "\n".join([*lines, *self.failures()])


def _row(name: str, column: Column) -> Sequence[str]:
    return (
        name,
        f"{column.median(lambda run: run.us):.1f}",
        f"{statistics.median(column.loops):.1f}",
        f"{column.median(lambda run: run.whole_us):.1f}",
        f"{column.median(lambda run: run.broker_us):.1f}",
        f"{column.median(lambda run: run.records / run.seconds):,.0f}",
        f"{column.median(lambda run: run.memory / 2**20):,.0f}",
        str(len(column.runs)),
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
