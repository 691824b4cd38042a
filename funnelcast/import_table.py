"""An import's overview as tables, for a person to compare with the source. Prints; counts nothing."""

from __future__ import annotations

import json
from typing import Any, Final

from rich.text import Text

from funnelcast.screen import Screen
from producers.importer.overview import major
from streams.report.tables.grid import Grid

_SHOWN: Final = 60


def print_overview(document: dict[str, Any]) -> None:
    """Events by name, money, distinct values, samples."""
    console = Screen()
    console.print(_events(document["events"]))
    console.print(_shares(document["events"]))
    several = document["orders_with_several_amounts"]
    if several["count"]:
        first = ", ".join(several["first"])
        console.print(
            f"{several['count']} orders state several amounts ({first}): that of the earliest event counts. Rows of "
            "one order are summed up with group: and sum(...)"
        )
    if document["distinct"]:
        console.print(_distinct(document["distinct"]))
    for event in document["samples"]:
        console.print(Text(json.dumps(event, ensure_ascii=False, default=str)), soft_wrap=True)


def _events(events: list[dict[str, Any]]) -> Grid:
    headings = ("event", ">events", ">persons", "first (UTC)", "last (UTC)", ">money")
    table = Grid(*headings, title="what would be sent")
    for each in events:
        money = "\n".join(major(sums["minor"], currency) for currency, sums in each["money"].items())
        times = [each[what][:16].replace("T", " ") for what in ("first", "last")]
        table.add_row(each["name"], f"{each['count']:,}", f"{each['persons']:,}", *times, money)
    return table


def _shares(events: list[dict[str, Any]]) -> Grid:
    headings = ("event", ">an id of their own", ">an amount", ">an order id", ">late")
    table = Grid(*headings, title="what events are without")
    for each in events:
        shares = [_share(each[f"without_{what}"], each["count"]) for what in ("id", "amount", "order_id")]
        table.add_row(each["name"], *shares, f"{each['late']:,}")
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if part else "0"


def _distinct(distinct: dict[str, Any]) -> Grid:
    table = Grid("property", ">values", "~most frequent", title="distinct values")
    for name, values in distinct.items():
        shown = ", ".join(f"{value[:_SHOWN]} ({count})" for value, count in values["frequent"].items())
        table.add_row(name, f"{values['count']:,}{'+' if values.get('more') else ''}", shown)
    return table
