"""A counters document as a table for a terminal, and a bar for what takes time. Computes nothing but percentages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from schemas.funnel.model import Funnel
from schemas.money import minor_digits
from streams.report.table import fitting

Document = Mapping[str, Any]
SO_FAR, BOTTLENECK = "*", "◀"
LEGEND = f"{SO_FAR} so far: some entries are still open   {BOTTLENECK} highest abandonment"
WIDE = 100
_LEFT_OUT_FIRST = ("events", "open", "lost", "orders", "abandoned", "entries")


def totals(document: Document) -> Mapping[str, Mapping[str, Any]]:
    """{stage: families} of the whole funnel over all time."""
    found: Mapping[str, Mapping[str, Any]] = document["counters"].get("total", {}).get("all", {}).get("", {})
    return found


def total_rates(document: Document) -> Mapping[str, Any]:
    """Rates of the same cell; empty where nothing was counted."""
    for rates in document["rates"]:
        if rates["grain"] == "total" and rates["dim"] == "":
            found: Mapping[str, Any] = rates
            return found
    return {}


def stage_table(funnel: Funnel, document: Document, *, title: str | None = None, width: int = WIDE) -> Table:
    """One row a stage; fewer columns where the terminal is narrow."""
    counted, rates = totals(document), total_rates(document)
    table = Table(
        title=title,
        caption=LEGEND,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    rows = [_row(stage.name, counted.get(stage.name, {}), rates) for stage in funnel.stages]
    columns = fitting(rows, width, _LEFT_OUT_FIRST, gap=3)
    for heading in columns:
        table.add_column(heading, justify="left" if heading == "stage" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[heading] for heading in columns))
    return table


def _row(stage: str, families: Mapping[str, Any], rates: Mapping[str, Any]) -> dict[str, str]:
    return {
        "stage": stage + (f" {BOTTLENECK}" if rates.get("bottleneck") == stage else ""),
        "events": number(families.get("events", 0)),
        "entries": number(families.get("entries", 0)),
        "open": number(families.get("open", 0)),
        "went on (95 %)": conversion(rates.get("cohort_conversion", {}).get(stage)),
        "abandoned": percent(rates.get("abandonment", {}).get(stage)),
        "lost": number(sum(families.get("lost.cohort", {}).values())),
        "orders": number(sum(families.get("orders", {}).values())),
        "revenue": "\n".join(money(amount, currency) for currency, amount in families.get("revenue", {}).items()),
    }


def number(amount: int) -> str:
    """1,234; a dash for nothing."""
    return f"{amount:,}" if amount else "-"


def percent(rate: Mapping[str, Any] | None) -> str:
    """A share, without its interval."""
    return "-" if rate is None else f"{rate['rate']:.1%}"


def conversion(rate: Mapping[str, Any] | None) -> str:
    """A cohort's share with its interval; marked until every entry of it is decided."""
    if rate is None:
        return "-"
    text = f"{rate['rate']:.1%}"
    if rate.get("interval") is not None:
        low, high = rate["interval"]
        text += f" {100 * low:.1f}-{100 * high:.1f}"
    return text if rate.get("maturity", 1) == 1 else text + SO_FAR


def money(minor: int, currency: str) -> str:
    """Minor units as an amount, exactly."""
    return f"{Decimal(minor).scaleb(-minor_digits(currency)):,} {currency}"


@contextmanager
def progress_bar(console: Console, label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over (done, total); nothing off a terminal."""
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
