"""What was spent on advertising, from a table: the columns found by their names or named, as an import file. Pure.

The rest is `producers.importer.preparation`: a statement is an event `ad_spend` of a day, without a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from producers.importer.definition import AD_SPEND, ImportFile
from schemas.errors import InputFileError

_NAMES: Final = {
    "day": ("day", "date", "report date", "segments date", "reporting starts", "дата", "день"),
    "channel": ("channel", "source", "utm source", "platform", "network", "канал", "источник"),
    "campaign": ("campaign", "campaign name", "utm campaign", "название кампании", "кампания"),
    "value": ("amount", "value", "cost", "spend", "amount spent", "spent", "расход", "расходы", "сумма"),
    "currency": ("currency", "currency code", "account currency", "валюта"),
}
"""Headings of the platforms' reports, without regard to case, marks and what stands in brackets."""
_NEEDED: Final = ("day", "channel", "value")


@dataclass(frozen=True, slots=True)
class SpendTable:
    """A table as it is described on the command line. Left is the property, right the column or the text."""

    file: str
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    layout: Mapping[str, Any] = field(default_factory=dict)
    """Keys of an input: encoding, delimiter, heading, decimal, thousands."""
    order: str | None = None
    is_summed: bool = False
    """Rows of one statement are added up."""


def spend_definition(table: SpendTable, headings: Sequence[str]) -> ImportFile:
    """The import file that the table means. Raises InputFileError where a column is not found."""
    columns = {**_recognised(headings, table), **table.columns}
    needed = [name for name in _NEEDED if name not in columns]
    missing = [name for name in needed if name != "channel" or name not in table.constants]
    if missing:
        has = ", ".join(filter(None, headings)) or "no heading"
        raise InputFileError(
            f"{table.file}: no column for {', '.join(missing)}; write --map {missing[0]}=COLUMN, or --set channel=TEXT "
            f"where the whole file is of one channel; the file has: {has} (--heading N where it stands lower)"
        )
    sources: dict[str, Any] = {name: column for name, column in columns.items() if name not in ("day", "value")}
    sources |= {name: {"text": text} for name, text in table.constants.items()}
    rule: dict[str, Any] = {"name": AD_SPEND, "at": columns["day"]}
    rule["value"] = f'sum("{columns["value"]}")' if table.is_summed else columns["value"]
    for name in ("channel", "campaign", "currency"):
        if name in sources:
            rule[name] = sources.pop(name)
    rule["properties"] = sources
    if table.is_summed:
        rule["group"] = [column for name, column in columns.items() if name != "value"]
    times = {columns["day"]: {"order": table.order}} if table.order else {}
    described = {"file": table.file, "format": None, "times": times, **table.layout}
    return ImportFile.model_validate({"inputs": [described], "events": [rule]})


def _recognised(headings: Sequence[str], table: SpendTable) -> dict[str, str]:
    """Columns whose heading says what they are; one that says it twice says nothing."""
    taken = {*table.columns.values()}
    columns_by_name: dict[str, str] = {}
    for name, words in _NAMES.items():
        if name in table.columns or name in table.constants:
            continue
        fitting = [heading for heading in headings if _plain(heading) in words and heading not in taken]
        fitting.sort(key=lambda heading: words.index(_plain(heading)))
        if fitting:
            columns_by_name[name] = fitting[0]
    return columns_by_name


def _plain(heading: str) -> str:
    without = re.sub(r"\(.*?\)", " ", heading.casefold())
    return " ".join(re.sub(r"[^\w]|_", " ", without).split())
