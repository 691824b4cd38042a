"""The one design of a table for people: columns under one rule, every cell whole at every width. Knows no numbers.

Where not all columns fit, those that are called optional go first, and a line says which. Where the others do not fit
either, each row becomes lines of `heading  value`: an id that is cut would be of no use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_GAP = 2
_NUMBER, _PROSE = ">", "~"
_NARROWEST_PROSE = 24


class Grid:
    """A table. `>heading`: numbers, aligned to the right; `~heading`: prose, which may be broken into lines."""

    def __init__(self, *headings: str, title: str | None = None, optional: Sequence[str] = ()) -> None:
        self._headings = [heading.lstrip(_NUMBER + _PROSE) for heading in headings]
        self._kinds = [heading[:1] for heading in headings]
        self._title = title
        self._optional = optional
        self._rows: list[tuple[tuple[str, ...], str]] = []

    def add_row(self, *cells: str, style: str | None = None) -> None:
        """One row; a cell may have several lines."""
        if len(cells) != len(self._headings):
            raise ValueError(f"{len(cells)} cells under {len(self._headings)} headings")
        self._rows.append((cells, style or ""))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """See rich.console.Console."""
        if self._title is not None:
            yield Text(self._title, style="bold")
        shown = self._fitting(options.max_width)
        if self._width(shown) > options.max_width:
            yield self._stacked()
            return
        yield self._table(shown)
        left_out = [name for number, name in enumerate(self._headings) if number not in shown]
        if left_out:
            yield Text(f"no room for: {', '.join(left_out)} (make the terminal wider)", style="dim")
        yield Text()

    def _fitting(self, width: int) -> list[int]:
        shown = list(range(len(self._headings)))
        for heading in self._optional:
            if self._width(shown) <= width:
                break
            shown = [number for number in shown if self._headings[number] != heading]
        return shown

    def _width(self, shown: Sequence[int]) -> int:
        return sum(map(self._column_width, shown)) + _GAP * (len(shown) - 1)

    def _column_width(self, number: int) -> int:
        lines = (line for cells, _ in self._rows for line in cells[number].split("\n"))
        heading = cell_len(self._headings[number])
        width = max([heading, *map(cell_len, lines)])
        return min(width, max(heading, _NARROWEST_PROSE)) if self._kinds[number] == _PROSE else width

    def _table(self, shown: Sequence[int]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
        for number in shown:
            kind = self._kinds[number]
            justify: Literal["left", "right"] = "right" if kind == _NUMBER else "left"
            table.add_column(Text(self._headings[number]), justify=justify, no_wrap=kind != _PROSE, overflow="fold")
        for cells, style in self._rows:
            table.add_row(*(Text(cells[number]) for number in shown), style=style)
        return table

    def _stacked(self) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False, collapse_padding=True)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for cells, style in self._rows:
            for heading, cell in self._filled(cells):
                table.add_row(Text(heading), Text(cell), style=style)
            table.add_row("", "")
        return table

    def _filled(self, cells: Sequence[str]) -> Iterable[tuple[str, str]]:
        """A row without what is empty."""
        return ((heading, cell) for heading, cell in zip(self._headings, cells, strict=True) if cell)
