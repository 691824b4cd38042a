"""A counters document as tables for a terminal, for every command that shows one. Counts nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.text import Text

from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView
from streams.report.document.rates import last_of_overall, rates_of
from streams.report.document.shapes import CountersDocument, NamedCell, Rate, Rates
from streams.report.questions.lines import Arrangement, grain_of, lines_of, sums_of
from streams.report.questions.paths import path_cell
from streams.report.questions.reasons import reasons_of
from streams.report.tables import texts
from streams.report.tables.grid import Grid
from streams.report.tables.lines import coverage_lines, render_lines
from streams.report.tables.paths import times_table
from streams.report.tables.reasons import reasons_table

BOTTLENECK = "◀"
_OPTIONAL = (
    "by day",
    "95 %",
    "abandoned",
    "lost",
    "stalled",
    "open",
    "open value",
    "orders",
    "left",
    "went on",
    "conversion",
)
_PLAIN = Arrangement()
Trends = Mapping[str, Sequence[int]]
"""Entries day by day, the newest last, by stage."""


def render_report(
    funnel: Funnel,
    document: CountersDocument,
    *,
    arrangement: Arrangement = _PLAIN,
    trends: Mapping[str, Trends] | None = None,
) -> RenderableType:
    """One cell in full, several as rows. `trends` by the label of a cell."""
    head = _head(funnel, document)
    lines = lines_of(funnel, document, arrangement=arrangement)
    if not lines:
        return Group(head, Text("Nothing counted here yet.", style="dim"))
    trends = trends or {}
    if len(lines) > 1 or arrangement.by_bucket or (lines[0].dim and arrangement.is_of_values):
        return Group(head, Text(), *render_lines(funnel, document, arrangement=arrangement, lines=lines, trends=trends))
    (line,) = lines
    cell = render_cell(funnel, line.cell, title=line.dim or None, trends=trends.get(line.dim))
    cells = sums_of(document, arrangement)
    return Group(head, Text(), cell, *_why(funnel, line.cell, dim=line.dim), *coverage_lines(funnel, cells))


def render_cell(
    funnel: Funnel, cell: NamedCell, *, title: str | None = None, trends: Trends | None = None
) -> RenderableType:
    """One cell: a row for each stage, and lines of what is of the whole funnel."""
    rates = rates_of(funnel, cell, dim=title or "")
    parts: list[RenderableType] = [_stage_table(funnel, cell, rates=rates, title=title, trends=trends)]
    if any(rate is not None and rate["maturity"] < 1 for rate in rates["cohort_conversion"].values()):
        parts.append(Text(f"{texts.SO_FAR} so far: some entries have no outcome yet", style="dim"))
    return Group(*parts, *map(Text, summary(funnel, CellView(cell), rates=rates)), Text())


def _why(funnel: Funnel, cell: NamedCell, *, dim: str) -> Iterable[RenderableType]:
    """Why people are lost, and how long it takes."""
    if reasons := reasons_of(funnel, cell):
        yield reasons_table(reasons)
    path = path_cell(funnel, cell, dim=dim, is_total=False)
    if path["transitions"]:
        yield times_table(path, title="how long it takes (more: --paths)", only_neighbours=True)


def _head(funnel: Funnel, document: CountersDocument) -> RenderableType:
    grain, counts = grain_of(document), document["input"]
    parts = [f"{funnel.name} version {funnel.version}"]
    if grain not in (None, "total"):
        buckets = sorted(document["counters"][grain])
        parts.append(f"{grain}s {buckets[0]} to {buckets[-1]}")
    parts.append(f"watermark {_when(document['watermark_ms'])}")
    counted = f"{counts['accepted']:,} events of {counts['persons']:,} persons"
    counted += f", {counts['duplicates']:,} duplicates, {counts['late']:,} late"
    if counts["placeholder_ids"] or counts["link_conflicts"]:
        counted += f", {counts['placeholder_ids']:,} placeholder ids, {counts['link_conflicts']:,} link conflicts"
    left_out = ", ".join(f"{number:,} {traffic}" for traffic, number in counts.get("left_out", {}).items())
    if left_out:
        counted += f", left out: {left_out}"
    return Group(Text(" · ".join(parts), style="bold"), Text(counted, style="dim"))


def _when(time_ms: int | None) -> str:
    return (
        texts.ABSENT if time_ms is None else f"{datetime.fromtimestamp(time_ms / 1000, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"
    )


def _stage_table(
    funnel: Funnel, cell: NamedCell, *, rates: Rates, title: str | None, trends: Trends | None
) -> RenderableType:
    view, names = CellView(cell), [stage.name for stage in funnel.stages]
    shares = [None, *(rates["period_conversion"][f"{j} -> {k}"] for j, k in pairwise(names))]
    rows = [_row(name, view, rates=rates, share=share) for name, share in zip(names, shares, strict=True)]
    for row, name in zip(rows, names, strict=True):
        row["by day"] = texts.spark((trends or {}).get(name, ()))
    unused = _unused(funnel, rows, has_trends=trends is not None)
    headings = [heading for heading in rows[0] if heading not in unused]
    table = Grid(
        *(heading if heading == "stage" else f">{heading}" for heading in headings), title=title, optional=_OPTIONAL
    )
    for row in rows:
        table.add_row(*(row[heading] for heading in headings))
    return table


def _unused(funnel: Funnel, rows: Sequence[Mapping[str, str]], *, has_trends: bool) -> set[str]:
    """Columns that this funnel cannot fill."""
    unused = set()
    if all(stage.nth is None for stage in funnel.stages):
        unused |= {"orders", "revenue"}
    if all(stage.stalled_after_ms is None for stage in funnel.stages):
        unused.add("stalled")
    if not funnel.lost:
        unused.add("lost")
    if not has_trends:
        unused.add("by day")
    if all(row["open value"] == texts.ABSENT for row in rows):
        unused.add("open value")
    return unused


def _row(stage: str, view: CellView, *, rates: Rates, share: Rate | None) -> dict[str, str]:
    """Texts of a stage by their heading. `share` is the conversion from the stage before, `went on` to a later one."""
    return {
        "stage": f"{stage} {BOTTLENECK}" if stage == rates["bottleneck"] else stage,
        "entries": texts.number(view.entries(stage)),
        "conversion": texts.share(share),
        "95 %": texts.interval(share),
        "went on": texts.cohort_share(rates["cohort_conversion"].get(stage)),
        "left": texts.share(rates["leaving"].get(stage)),
        "abandoned": texts.number(view.amount(stage, "abandoned.cohort")),
        "lost": texts.number(view.lost(stage)),
        "open": texts.number(view.amount(stage, "open")),
        "stalled": texts.number(view.amount(stage, "stalled")),
        "open value": texts.amounts(view.amounts(stage, "open_value")),
        "orders": texts.number(view.amount(stage, "orders")),
        "revenue": texts.amounts(view.amounts(stage, "revenue")),
    }


def summary(funnel: Funnel, view: CellView, *, rates: Rates) -> Iterable[str]:
    """What is of the whole funnel, a line for each subject."""
    names = [stage.name for stage in funnel.stages]
    overall = rates["overall"]
    if overall is not None:
        way = f"{names[0]} -> {names[last_of_overall(funnel)]}"
        counts = f"{overall['numerator']:,} of {overall['denominator']:,}"
        yield " · ".join(
            part for part in (f"overall {texts.share(overall)}", texts.interval(overall), counts, way) if part
        )
    if (bottleneck := rates["bottleneck"]) is not None and (left := rates["leaving"][bottleneck]) is not None:
        yield f"bottleneck {bottleneck}: {left['numerator']:,} of {left['denominator']:,} left, {texts.share(left)}"
    else:
        yield f"bottleneck {texts.ABSENT}"
    if money := list(_money(funnel, rates)):
        yield " · ".join(money)
    if others := list(_other_currencies(funnel, view)):
        yield f"not in these amounts: {', '.join(others)}"


def _money(funnel: Funnel, rates: Rates) -> Iterable[str]:
    money, currency = rates["money"], funnel.currency
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


def _other_currencies(funnel: Funnel, view: CellView) -> Iterable[str]:
    """What is booked in a currency that the funnel's amounts leave out."""
    names = ["", *(stage.name for stage in funnel.stages)]
    for family in ("orders", "revenue", "refunds", "spend", "open_value"):
        sums: dict[str, int] = {}
        for name in names:
            for currency, amount in view.amounts(name, family).items():
                if currency != funnel.currency:
                    sums[currency] = sums.get(currency, 0) + amount
        for currency, amount in sorted(sums.items()):
            shown = f"{amount:,} orders in {currency}" if family == "orders" else texts.money(amount, currency)
            yield shown if family == "orders" else f"{family.replace('_', ' ')} {shown}"
