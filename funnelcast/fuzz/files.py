"""Wide CSVs with wrong cells: a table of deals, a column a date, drawn from a seed, and what must become of it.

What is wrong is put in on purpose, so every row's fate is known: refused by its line, or so many events. Writes a file
into a directory of the caller's; sends nothing.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from producers.importer.load import parse_import
from producers.importer.preparation import Preparation
from producers.importer.problems import Refused
from producers.importer.strict import Strict
from producers.ingest.checks import Ingest

NOW_MS: Final = 1_767_225_600_000
"""2026-01-01: the files say nothing newer, but for what is wrong."""
RULES: Final = """
inputs: [{file: FILE, decimal: ",", thousands: "."}]
events:
  - {name: lead_created, at: created, id: "{id}-made", user_id: who, value: amount, properties: {note: note}}
  - {name: payment, at: won, when: {won: {exists: true}}, id: "{id}-won", user_id: who, order_id: id, value: amount}
  - {name: deal_lost, at: lost, when: {lost: {exists: true}}, id: "{id}-lost", user_id: who, reason: note}
"""
_HEADING: Final = ("id", "who", "created", "won", "lost", "amount", "note")
_TIMES: Final = ("2025-01-31 10:00", "2025/02/01", "Nov 20, 2025 10:11 PM", "2025-02-01T10:00:00+02:00")
_WRONG: Final = {
    "id": ("1.21E+13", "17850.0", "x" * 300),
    "who": ("(not set)", "null", "", "1.785E+04", "#N/A"),
    "created": ("", "31/01/2025", "1763632800", "2025-02-30", "soon", "2999-01-01", "45321.5", "１２"),
    "won": ("01.02.2025", "never", "0", "9" * 400, "1e999", "2025-13-01"),
    "lost": ("13/13/2025", "1970", "{}", "-1", "2025-01-01 25:00"),
    "amount": ("19.99", "$5", "(3,00)", "1,2,3", "NaN", "Infinity", "9" * 40, "--", "12.34.56", "5 EUR"),
}
_NOTES: Final = (
    "",
    "plain",
    'he said "no"',
    "a;b,c\td",
    "two\nlines",
    "\u202eover\x1b[31m",
    "Ωmega ✓ 😀",
    "\x00",
    "=1+1",
)
_DELIMITERS: Final = ",;\t|"
_ENCODINGS: Final = ("utf-8", "utf-8-sig", "utf-16")


@dataclass(slots=True)
class WideFile:
    """A file, and what must become of it."""

    content: bytes
    rows: int = 0
    events: int = 0
    refused: list[int] = field(default_factory=list)
    """Lines."""


def wide_file(seed: int, number: int) -> WideFile:
    """The same for the same seed and number."""
    rng = Random(f"{seed}/{number}")
    delimiter = rng.choice(_DELIMITERS)
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=rng.choice(("\n", "\r\n")))
    writer.writerow(_HEADING)
    file, line = WideFile(b""), 2
    for row in range(rng.randint(1, 30)):
        before = text.tell()
        if rng.random() < 0.05:
            text.write(f'{row}{delimiter}"5" screen"{delimiter}\n')  # a quote that is not doubled
            is_refused, events = True, 0
        else:
            cells, is_refused, events = _row(rng, f"d{row}")
            writer.writerow(cells)
        file.rows += 1
        file.events += 0 if is_refused else events
        file.refused += [line] if is_refused else []
        text.seek(before)
        line += text.read().count("\n")
    encoded = text.getvalue().encode(rng.choice(_ENCODINGS))
    file.content = gzip.compress(encoded, 1, mtime=0) if rng.random() < 0.2 else encoded
    return file


def _row(rng: Random, deal: str) -> tuple[list[str], bool, int]:
    """(cells, whether it is refused, its events)."""
    outcome = rng.choice(("open", "won", "lost"))
    cells = dict.fromkeys(_HEADING, "")
    cells |= {"id": deal, "who": f"u{rng.randint(1, 9)}", "created": rng.choice(_TIMES), "note": rng.choice(_NOTES)}
    cells["amount"] = rng.choice(("", "5", "19,99", "1.234,56", "1234,5"))
    if outcome != "open":
        cells[outcome] = rng.choice(_TIMES)
    is_refused = rng.random() < 0.4
    extra: list[str] = []
    if is_refused:
        wrong = rng.choice((*_WRONG, "cells"))
        if wrong == "cells":
            extra = ["x"] * rng.randint(1, 3)
        else:
            cells[wrong] = rng.choice(_WRONG[wrong])
    return [*cells.values(), *extra], is_refused, 1 if outcome == "open" else 2


def fault_of(file: WideFile, directory: Path) -> str | None:
    """What is wrong with how the file was read, None where nothing is. Never raises."""
    path = directory / "wide.csv"
    path.write_bytes(file.content)
    refused: list[Refused] = []
    preparation = Preparation(
        parse_import(RULES.replace("FILE", path.name)), directory, Strict(Ingest(), NOW_MS), refused.append
    )
    try:
        rows = preparation.run()
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"{type(error).__name__}: {error}"
    lines = sorted(each.line for each in refused)
    if (rows.read, rows.taken + rows.refused + rows.without_event) != (file.rows, file.rows):
        return f"{file.rows} rows, of which {rows} were counted"
    if lines != file.refused:
        return f"lines {file.refused} are wrong, refused were {lines}"
    if preparation.count != file.events:
        return f"{file.events} events, of which {preparation.count} would be sent"
    return None


def fuzz_files(seed: int, numbers: range, *, directory: Path, say: Callable[[str], None]) -> list[str]:
    """Faults of the files of a seed; a file with one is kept in the directory."""
    faults = []
    for number in numbers:
        file = wide_file(seed, number)
        fault = fault_of(file, directory)
        if fault is not None:
            (directory / f"wide-{seed}-{number}.csv").write_bytes(file.content)
            faults.append(f"file {number}: {fault}")
            say(faults[-1])
    return faults
