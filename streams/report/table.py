"""A counters document as tables for a terminal, for every command that shows one. Counts nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.funnel.model import Funnel
from streams.report import texts
from streams.report.cell import CellView, sum_cells
from streams.report.coverage import coverage_of
from streams.report.periods import Period
from streams.report.rates import rates_of
from streams.report.shapes import CountersDocument, NamedCell, Rate, Rates

BOTTLENECK = "◀"
_TREND_BUCKETS = 13
"""A quarter in weeks."""
_LEFT_OUT_FIRST = (
    "events",
    "of them 95 %",
    "known",
    "95 %",
    "lost",
    "open",
    "orders",
    "abandoned",
    "went on",
    "conversion",
)
_GRAINS = ("total", "quarter", "month", "week", "day", "hour", "minute")
WIDE = 110
"""Columns of a terminal in which everything is shown, unless names are very long."""


def render_report(funnel: Funnel, document: CountersDocument, *, width: int = WIDE) -> RenderableType:
    """A table for each dimension value the document holds, summed over its buckets (totals if it has them)."""
    counters = document["counters"]
    grain = next((name for name in _GRAINS if name in counters), None)
    head = _head(funnel, document, grain)
    if grain is None:
        return Group(head, Text("Nothing counted here yet.", style="dim"))
    cells: dict[str, list[NamedCell]] = {}
    for bucket in counters[grain].values():
        for dim, cell in bucket.items():
            cells.setdefault(dim, []).append(cell)
    tables: list[RenderableType] = [
        render_cell(funnel, sum_cells(cells[dim]), title=dim or None, width=width) for dim in sorted(cells)
    ]
    if known := _coverage(funnel, {dim: sum_cells(cells[dim]) for dim in cells}):
        tables.append(known)
    if grain in list(Period):
        tables += [trend_table(funnel, counters[grain], grain=grain, dim=dim, width=width) for dim in sorted(cells)]
    return Group(head, *tables)


def _coverage(funnel: Funnel, cells: Mapping[str, NamedCell]) -> Text | None:
    rates = coverage_of(funnel, cells)
    told = [
        f"{name} {100 * rate['rate']:.1f} % of {rate['denominator']:,} journeys"
        for name, rate in rates.items()
        if rate is not None
    ]
    return Text(f"First value known: {' · '.join(told)}") if told else None


def render_cell(funnel: Funnel, cell: NamedCell, *, title: str | None = None, width: int = WIDE) -> RenderableType:
    """One cell: a row for each stage, and a line of what is of the whole funnel."""
    rates = rates_of(funnel, cell, title or "")
    parts: list[RenderableType] = [_stage_table(funnel, cell, rates, title=title, width=width)]
    if any(rate is not None and rate["maturity"] < 1 for rate in rates["cohort_conversion"].values()):
        parts.append(Text(f"{texts.SO_FAR} so far: some entries have no outcome yet", style="dim"))
    parts.append(Text(" · ".join(_summary(funnel, rates))))
    return Group(*parts)


def trend_table(
    funnel: Funnel, buckets: Mapping[str, Mapping[str, NamedCell]], *, grain: str, dim: str, width: int
) -> RenderableType:
    """A row for each bucket and stage: how the conversions went from week to week. For as many as a screen holds."""
    labels = sorted(label for label in buckets if dim in buckets[label])
    rows: list[dict[str, str]] = []
    for label in labels[-_TREND_BUCKETS:]:
        cell = buckets[label][dim]
        rates = rates_of(funnel, cell, dim)
        stages = _trend_rows(_stage_rows(funnel, cell, rates), rates)
        rows += [{grain: "" if number else label} | row for number, row in enumerate(stages)]
    left_out = f" (the last {_TREND_BUCKETS} of {len(labels)})" if len(labels) > _TREND_BUCKETS else ""
    return _table(rows, title=f"by {grain}{f' · {dim}' if dim else ''}{left_out}", left=(grain, "stage"), width=width)


def _trend_rows(stages: Sequence[Mapping[str, str]], rates: Rates) -> list[dict[str, str]]:
    rows = []
    for row in stages:
        cohort = rates["cohort_conversion"].get(row["stage"].removesuffix(f" {BOTTLENECK}"))
        known = "" if cohort is None else f"{100 * cohort['maturity']:.0f} %"
        shown = {heading: row[heading] for heading in ("stage", "entries", "conversion", "95 %", "went on")}
        money = {heading: row[heading] for heading in ("orders", "revenue") if heading in row}
        rows.append(shown | {"of them 95 %": texts.interval(cohort), "known": known} | money)
    return rows


def fitting(rows: Sequence[Mapping[str, str]], width: int, left_out_first: Sequence[str], *, gap: int) -> list[str]:
    """Headings whose columns fit into `width` characters whole: those of `left_out_first` go, in that order, as needed.
    A cell may have lines; a cut cell would be worse than none."""
    headings = list(rows[0])
    columns = {heading: [heading, *(row[heading] for row in rows)] for heading in headings}
    widths = {name: gap + max(map(_width, column)) for name, column in columns.items()}
    for heading in left_out_first:
        if 2 + sum(widths[shown] for shown in headings) <= width:
            break
        if heading in headings:
            headings.remove(heading)
    return headings


def _width(text: str) -> int:
    return max(len(line) for line in text.split("\n"))


def _head(funnel: Funnel, document: CountersDocument, grain: str | None) -> Text:
    counts, parts = document["input"], [f"{funnel.name} version {funnel.version}"]
    if grain not in (None, "total"):
        buckets = sorted(document["counters"][grain])
        parts.append(f"{grain}s {buckets[0]} to {buckets[-1]}")
    parts.append(f"watermark {_when(document['watermark_ms'])}")
    parts.append(f"{counts['accepted']:,} events of {counts['persons']:,} persons")
    text = " · ".join(parts) + f", {counts['duplicates']:,} duplicates, {counts['late']:,} late"
    if counts["placeholder_ids"] or counts["link_conflicts"]:
        text += f", {counts['placeholder_ids']:,} placeholder ids, {counts['link_conflicts']:,} link conflicts"
    left_out = ", ".join(f"{number:,} {traffic}" for traffic, number in counts.get("left_out", {}).items())
    if left_out:
        text += f", left out: {left_out}"
    return Text(text, style="bold")


def _when(time_ms: int | None) -> str:
    return (
        texts.ABSENT if time_ms is None else f"{datetime.fromtimestamp(time_ms / 1000, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"
    )


def _stage_table(funnel: Funnel, cell: NamedCell, rates: Rates, *, title: str | None, width: int) -> Table:
    return _table(_stage_rows(funnel, cell, rates), title=title, left=("stage",), width=width)


def _stage_rows(funnel: Funnel, cell: NamedCell, rates: Rates) -> list[dict[str, str]]:
    view, names = CellView(cell), [stage.name for stage in funnel.stages]
    shares = [None, *(rates["period_conversion"][f"{j} -> {k}"] for j, k in pairwise(names))]
    rows = [_row(name, view, rates, share) for name, share in zip(names, shares, strict=True)]
    if all(stage.nth is None for stage in funnel.stages):
        return [{heading: row[heading] for heading in row if heading not in ("orders", "revenue")} for row in rows]
    return rows


def _table(rows: Sequence[Mapping[str, str]], *, title: str | None, left: Sequence[str], width: int) -> Table:
    """Columns that fit; those of `left` are texts, the others numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True)
    headings = fitting(rows, width, _LEFT_OUT_FIRST, gap=2)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[heading] for heading in headings))
    return table


def _row(stage: str, view: CellView, rates: Rates, share: Rate | None) -> dict[str, str]:
    """Texts of a stage by their heading. `share` is the conversion from the stage before, `went on` to a later one."""
    revenue = sorted(view.amounts(stage, "revenue").items())
    return {
        "stage": f"{stage} {BOTTLENECK}" if stage == rates["bottleneck"] else stage,
        "events": texts.number(view.amount(stage, "events")),
        "entries": texts.number(view.entries(stage)),
        "conversion": texts.share(share),
        "95 %": texts.interval(share),
        "went on": texts.cohort_share(rates["cohort_conversion"].get(stage)),
        "abandoned": texts.share(rates["abandonment"].get(stage)),
        "lost": texts.number(view.amount(stage, "lost.cohort")),
        "open": texts.number(view.amount(stage, "open")),
        "orders": texts.number(view.amount(stage, "orders")),
        "revenue": "\n".join(texts.money(minor, currency) for currency, minor in revenue),
    }


def _summary(funnel: Funnel, rates: Rates) -> Iterable[str]:
    money, currency = rates["money"], funnel.currency
    yield f"overall {texts.share(rates['overall'])} {texts.interval(rates['overall'])}".rstrip()
    if money["orders"]:
        yield f"orders {money['orders']:,}"
        yield f"revenue {texts.money(money['revenue'], currency)}"
    amounts = {
        "refunds": money["refunds"],
        "spend": money["spend"],
        "AOV": money["aov"],
        "RPM": money["rpm"],
        "CPM": money["cpm"],
        "CPC": money["cpc"],
        "CPL": money["cpl"],
        "CPA": money["cpa"],
        "forecast": money["forecast"],
    }
    yield from (f"{name} {texts.money(amount, currency)}" for name, amount in amounts.items() if amount)
    if money["roas"] is not None:
        yield f"ROAS {money['roas']:.2f}"
    yield f"bottleneck {rates['bottleneck'] or texts.ABSENT}"
