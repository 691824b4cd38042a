"""An import's overview as tables, for a person to compare with the source. Prints; counts nothing."""

from __future__ import annotations

import json
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from funnelcast.screen import Screen
from producers.importer.overview import major

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


def _events(events: list[dict[str, Any]]) -> Table:
    table = Table("event", title="what would be sent", title_justify="left")
    for heading in ("events", "persons"):
        table.add_column(heading, justify="right")
    for heading in ("first (UTC)", "last (UTC)"):
        table.add_column(heading, no_wrap=True)
    table.add_column("money", justify="right")
    for each in events:
        money = "\n".join(major(sums["minor"], currency) for currency, sums in each["money"].items())
        times = [each[what][:16].replace("T", " ") for what in ("first", "last")]
        table.add_row(*map(Text, (each["name"], f"{each['count']:,}", f"{each['persons']:,}", *times, money)))
    return table


def _shares(events: list[dict[str, Any]]) -> Table:
    table = Table("event", title="what events are without", title_justify="left")
    for heading in ("an id of their own", "an amount", "an order id", "late"):
        table.add_column(heading, justify="right")
    for each in events:
        shares = [_share(each[f"without_{what}"], each["count"]) for what in ("id", "amount", "order_id")]
        table.add_row(*map(Text, (each["name"], *shares, f"{each['late']:,}")))
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if part else "0"


def _distinct(distinct: dict[str, Any]) -> Table:
    table = Table("property", "values", "most frequent", title="distinct values", title_justify="left")
    for name, values in distinct.items():
        shown = ", ".join(f"{value[:_SHOWN]} ({count})" for value, count in values["frequent"].items())
        table.add_row(Text(name), f"{values['count']:,}{'+' if values.get('more') else ''}", Text(shown))
    return table
