"""The rows of a report as a table for a terminal: values of a dimension, buckets, or both. Counts nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView, sum_cells
from streams.report.document.rates import compares_people, last_of_overall, rates_of
from streams.report.document.shapes import CountersDocument, NamedCell, Rates
from streams.report.questions.coverage import coverage_of
from streams.report.questions.lines import Arrangement, Line, grain_of, sums_of, values_of
from streams.report.tables import texts
from streams.report.tables.grid import Grid

ALL = "all"
Row = dict[str, str]


def render_lines(
    funnel: Funnel,
    document: CountersDocument,
    *,
    arrangement: Arrangement,
    lines: Sequence[Line],
    trends: Mapping[str, Mapping[str, Sequence[int]]],
) -> Iterable[RenderableType]:
    """A row for each line, and one of all of them."""
    grain = grain_of(document) or "total"
    dimensions = _dimensions_of(funnel, lines)
    compares = compares_people(funnel, next((line.dim for line in lines if line.dim), ""))
    rows = [_row(funnel, line, grain=grain, dimensions=dimensions, trends=trends, compares=compares) for line in lines]
    whole = Line(ALL if arrangement.by_bucket else "", "", 0, sum_cells(line.cell for line in lines))
    last = _row(funnel, whole, grain=grain, dimensions=dimensions, trends=trends, compares=compares)
    if not arrangement.by_bucket and dimensions:
        last[dimensions[0]] = ALL
    yield from _table(
        funnel,
        [*rows, last],
        labels=[grain, *dimensions],
        document=document,
        arrangement=arrangement,
        compares=compares,
    )
    if any(texts.SO_FAR in cell for row in rows for cell in row.values()):
        yield Text(f"{texts.SO_FAR} so far: some entries have no outcome yet", style="dim")
    if not arrangement.by_bucket:
        yield from coverage_lines(funnel, {"": whole.cell, **sums_of(document, arrangement)})


def coverage_lines(funnel: Funnel, cells: Mapping[str, NamedCell]) -> Iterable[RenderableType]:
    """Of how many journeys the first value is known, by dimension; `cells` by their labels."""
    for name, rate in coverage_of(funnel, cells).items():
        if rate is not None:
            yield Text(f"first value of {name} known: {texts.share(rate)} of {rate['denominator']:,} journeys")


def _dimensions_of(funnel: Funnel, lines: Sequence[Line]) -> list[str]:
    label = next((line.dim for line in lines if line.dim), "")
    return list(values_of(funnel, label))


def _table(
    funnel: Funnel,
    rows: Sequence[Row],
    *,
    labels: Sequence[str],
    document: CountersDocument,
    arrangement: Arrangement,
    compares: bool,
) -> Iterable[RenderableType]:
    names = [stage.name for stage in funnel.stages]
    second = "the conversion from the stage before" if compares else "how many of them went on"
    grain = grain_of(document) or ""
    left_out = len(document["counters"][grain]) - (arrangement.last or len(document["counters"][grain]))
    buckets = f"by {grain}" if arrangement.by_bucket else ""
    if arrangement.by_bucket and left_out > 0:
        buckets += f", the last {arrangement.last} of {arrangement.last + left_out} (more: --since)"  # type: ignore[operator]
    title = " · ".join(part for part in (buckets, f"entries, and {second}") if part)
    headings = [heading for heading in rows[0] if any(row[heading] not in ("", texts.ABSENT) for row in rows)]
    optional = (
        "by day",
        "95 %",
        "known",
        "ROAS",
        "lost",
        "AOV",
        "spend",
        *_least_first(funnel),
        "orders",
        "revenue",
        "overall",
    )
    table = Grid(
        *(heading if heading in labels else f">{heading}" for heading in headings), title=title, optional=optional
    )
    aligned = _aligned(rows, names)
    for row in aligned[:-1]:
        table.add_row(*(row[heading] for heading in headings))
    table.add_row(*(aligned[-1][heading] for heading in headings), style="bold")
    yield table


def _least_first(funnel: Funnel) -> list[str]:
    """Stages in the order in which they may go: those after the first order, those in the middle, its own."""
    names, end = [stage.name for stage in funnel.stages], last_of_overall(funnel)
    return [*names[:end:-1], *names[end - 1 : 0 : -1], names[end]]


def _aligned(rows: Sequence[Row], stages: Sequence[str]) -> list[Row]:
    """Both numbers of a stage's cell one below the other."""
    widths = {stage: max(cell_len(row[stage].partition("\t")[2]) for row in rows) for stage in stages}

    def text(stage: str, cell: str) -> str:
        number, _, share = cell.partition("\t")
        return number if not widths[stage] else f"{number}  {share.rjust(widths[stage])}"

    return [row | {stage: text(stage, row[stage]) for stage in stages} for row in rows]


def _row(
    funnel: Funnel,
    line: Line,
    *,
    grain: str,
    dimensions: Sequence[str],
    trends: Mapping[str, Mapping[str, Sequence[int]]],
    compares: bool,
) -> Row:
    rates, view = rates_of(funnel, line.cell, dim=line.dim), CellView(line.cell)
    row: Row = {grain: line.bucket}
    values = values_of(funnel, line.dim)
    for number, name in enumerate(dimensions):
        row[name] = (f"{line.others} others" if not number else "") if line.others else values.get(name, "")
    row |= {stage: _stage(stage, view, share=share) for stage, share in _shares(funnel, rates, compares=compares)}
    row |= {"lost": texts.number(sum(view.lost(stage.name) for stage in funnel.stages))} if funnel.lost else {}
    if line.bucket:
        row["known"] = _known(funnel, view)
    row |= {"overall": texts.share(rates["overall"]), "95 %": texts.interval(rates["overall"])} if compares else {}
    if any(stage.nth is not None for stage in funnel.stages):
        row |= _money(funnel, line.cell, rates=rates)
    trend = trends.get(line.dim, {}).get(funnel.stages[0].name, ()) if line.dim and not line.others else ()
    return row | {"by day": texts.spark(trend)}


def _known(funnel: Funnel, view: CellView) -> str:
    """Of how many entries the outcome is known; the last stage has none to wait for."""
    names = [stage.name for stage in funnel.stages[:-1]]
    entries, resolved = sum(map(view.entries, names)), sum(map(view.resolved, names))
    return f"{100 * resolved // entries} %" if entries else texts.ABSENT


def _shares(funnel: Funnel, rates: Rates, *, compares: bool) -> Iterable[tuple[str, str]]:
    """(stage, share as text): of the entries before it, or of its own that went on."""
    names = [stage.name for stage in funnel.stages]
    if not compares:
        yield from ((name, texts.cohort_share(rates["cohort_conversion"].get(name))) for name in names)
        return
    yield names[0], ""
    yield from ((k, texts.share(rates["period_conversion"][f"{j} -> {k}"])) for j, k in pairwise(names))


def _stage(stage: str, view: CellView, *, share: str) -> str:
    return f"{texts.number(view.entries(stage))}\t{share}"


def _money(funnel: Funnel, cell: NamedCell, *, rates: Rates) -> Row:
    money, currency, view = rates["money"], funnel.currency, CellView(cell)
    revenue: dict[str, int] = {}
    for stage in funnel.stages:
        for code, minor in view.amounts(stage.name, "revenue").items():
            revenue[code] = revenue.get(code, 0) + minor
    orders = sum(view.amount(stage.name, "orders") for stage in funnel.stages)
    return {
        "orders": texts.number(orders),
        "revenue": texts.amounts(revenue),
        "AOV": texts.ABSENT if money["aov"] is None else texts.money(money["aov"], currency),
        "spend": texts.ABSENT if money["spend"] is None else texts.money(money["spend"], currency),
        "ROAS": texts.ABSENT if money["roas"] is None else f"{money['roas']:.2f}",
    }
