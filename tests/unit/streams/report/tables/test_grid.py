"""Tables: whole at every width, and what is left out is said."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from streams.report.tables.grid import Grid

PERSON = "anonymous:3f6c0d1e-8a4b-4c56-9d11-0123456789ab"


def shown(width: int) -> list[str]:
    table = Grid("person", ">entries", ">amount", "~why", title="who", optional=("amount",))
    table.add_row(PERSON, "1,234", "9,999.00 EUR", "it may go on until tomorrow, and waits longer than is normal")
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_all_of_it_where_there_is_room() -> None:
    lines = shown(160)
    assert lines[0] == "who"
    assert lines[1].split() == ["person", "entries", "amount", "why"]
    assert lines[3].startswith(PERSON)
    assert lines[3].endswith("longer than is normal")


def test_prose_is_broken_first_then_what_is_optional_goes_and_is_named() -> None:
    assert "amount" in shown(100)[1]
    lines = shown(85)
    assert "amount" not in lines[1]
    assert any(line.startswith("no room for: amount") for line in lines)


def test_rows_become_lines_where_not_even_an_id_fits_beside_the_rest() -> None:
    lines = shown(60)
    assert lines[1] == f"person  {PERSON}"
    assert "9,999.00 EUR" in lines[3]
    narrow = "".join(line[8:] for line in shown(30)[1:4])
    assert narrow.startswith(PERSON)  # in pieces, but whole


def test_a_row_has_as_many_cells_as_there_are_headings() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        Grid("a", "b").add_row("1")
