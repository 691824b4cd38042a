"""A counters document as a table for people. Renders what the document holds; counts nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.funnel.model import Funnel
from schemas.money import minor_digits
from streams.report.rates import Rate, rates_of

_LEFT_OUT_FIRST = ("events", "95 %", "lost", "open", "orders", "abandoned", "went on", "conversion")
_GRAINS = ("total", "day", "hour", "minute")
_ABSENT = "–"
WIDE = 110
"""Columns of a terminal in which everything is shown, unless names are very long."""


def fitting(rows: Sequence[Mapping[str, str]], width: int, left_out_first: Sequence[str], *, gap: int) -> list[str]:
    """Headings whose columns fit into `width` characters whole: those of `left_out_first` go, in that order, as needed.
    A cell may have lines; a cut cell would be worse than none."""
    headings = list(rows[0])
    widths = {
        one: max(len(line) for text in (one, *(row[one] for row in rows)) for line in text.splitlines() or [""]) + gap
        for one in headings
    }
    for one in left_out_first:
        if 2 + sum(widths[heading] for heading in headings) <= width:
            break
        if one in headings:
            headings.remove(one)
    return headings


def render_report(funnel: Funnel, document: Mapping[str, Any], *, width: int = WIDE) -> RenderableType:
    """One table for each dimension value the document holds, summed over its buckets (totals if it has them). In a
    narrow terminal it leaves out what is easiest to miss."""
    counters = document["counters"]
    grain = next((name for name in _GRAINS if name in counters), None)
    head = _head(funnel, document, grain)
    if grain is None:
        return Group(head, Text("Nothing counted here yet.", style="dim"))
    cells: dict[str, Any] = {}
    for bucket in counters[grain].values():
        _add(cells, bucket)
    return Group(head, *(part for dim in sorted(cells) for part in _render_cell(funnel, dim, cells[dim], width)))


def _head(funnel: Funnel, document: Mapping[str, Any], grain: str | None) -> Text:
    mark, taken = document["watermark_ms"], document["input"]
    until = _ABSENT if mark is None else datetime.fromtimestamp(mark / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    buckets = sorted(document["counters"].get(grain, {})) if grain else []
    span = "" if grain in (None, "total") else f" · {grain}s {buckets[0]} to {buckets[-1]}"
    return Text(
        f"{funnel.name} version {funnel.version}{span} · watermark {until} · {taken['accepted']:,} events of "
        f"{taken['persons']:,} persons, {taken['duplicates']:,} duplicates, {taken['late']:,} late",
        style="bold",
    )


def _render_cell(funnel: Funnel, dim: str, cell: Mapping[str, Any], width: int) -> Iterable[RenderableType]:
    rates = rates_of(funnel, cell)
    names = [stage.name for stage in funnel.stages]
    rows = []
    for number, name in enumerate(names):
        step = f"{names[number - 1]} -> {name}"
        rows.append(_row(name, cell.get(name, {}), rates, rates["period_conversion"].get(step) if number else None))
    if all(stage.nth is None for stage in funnel.stages):
        rows = [{heading: row[heading] for heading in row if heading not in ("orders", "revenue")} for row in rows]
    table = Table(
        title=dim or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True
    )
    headings = fitting(rows, width, _LEFT_OUT_FIRST, gap=2)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "stage" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[heading] for heading in headings))
    yield table
    if any(one is not None and one["maturity"] < 1 for one in rates["cohort_conversion"].values()):
        yield Text("* so far: some entries have no outcome yet", style="dim")
    yield Text(" · ".join(_summary(funnel, rates)))


def _row(name: str, found: Mapping[str, Any], rates: Mapping[str, Any], step: Rate | None) -> dict[str, str]:
    """Cells of a stage by their heading. `conversion` is from the stage before, `went on` to a later one."""
    cohort = rates["cohort_conversion"].get(name)
    so_far = "*" if cohort is not None and cohort["maturity"] < 1 else ""
    return {
        "stage": name,
        "events": _number(found.get("events", 0)),
        "entries": _number(found.get("entries", 0)),
        "conversion": _share(step),
        "95 %": _interval(step),
        "went on": so_far + _share(cohort),
        "abandoned": _share(rates["abandonment"].get(name)),
        "lost": _number(sum(found.get("lost.cohort", {}).values())),
        "open": _number(found.get("open", 0)),
        "orders": _number(sum(found.get("orders", {}).values())),
        "revenue": "\n".join(_money(minor, currency) for currency, minor in sorted(found.get("revenue", {}).items())),
    }


def _summary(funnel: Funnel, rates: Mapping[str, Any]) -> Iterable[str]:
    money, currency = rates["money"], funnel.currency
    yield f"overall {_share(rates['overall'])} {_interval(rates['overall'])}".rstrip()
    if money["orders"]:
        yield f"orders {money['orders']:,}"
        yield f"revenue {_money(money['revenue'], currency)}"
    for name in ("refunds", "spend", "aov", "rpm", "cpm", "cpc", "cpl", "cpa", "forecast"):
        if money[name]:
            yield f"{name.upper() if len(name) == 3 else name} {_money(money[name], currency)}"
    if money["roas"] is not None:
        yield f"ROAS {money['roas']:.2f}"
    yield f"bottleneck {rates['bottleneck'] or _ABSENT}"


def _number(amount: int) -> str:
    return f"{amount:,}" if amount else ""


def _share(rate: Rate | None) -> str:
    return _ABSENT if rate is None else f"{100 * rate['rate']:.{1 if rate['rate'] >= 0.01 else 2}f} %"


def _interval(rate: Rate | None) -> str:
    if rate is None or rate["interval"] is None:
        return ""
    low, high = rate["interval"]
    return f"{100 * low:.2f}–{100 * high:.2f}"


def _money(minor: float, currency: str) -> str:
    digits = minor_digits(currency)
    return f"{minor / 10**digits:,.{digits}f} {currency}"


def _add(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, dict):
            _add(target.setdefault(key, {}), value)
        else:
            target[key] = target.get(key, 0) + value
