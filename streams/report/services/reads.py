"""Reads of the store for the questions of a report: cells of a span, by day or summed. Never writes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date

from schemas.counters import Grain
from schemas.funnel.model import Funnel
from schemas.times import day_of
from streams.report.document.counters import merge_cells
from streams.report.document.names import name_cells
from streams.report.document.question import ReportQuestion
from streams.report.document.shapes import NamedCell
from streams.report.document.spans import Span, start_ms
from streams.report.document.sums import over_all_buckets
from streams.store.port import CounterReader, PartitionView, StoreRefusedError
from streams.store.statuses import metas_of

_AT_ONCE = 16
"""Partitions that are read at the same time: an answer waits for the store a few times, not once for each of them."""
DaysOfCells = dict[str, dict[int, NamedCell]]
"""By the label of a cell (empty: the whole), cells by day number."""


async def views_of(reader: CounterReader, question: ReportQuestion) -> list[PartitionView]:
    """What every partition has of it. Raises as `report`."""
    funnel = question.funnel
    await check_definition(reader, funnel)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def view_of(partition: int) -> PartitionView | None:
        async with turns:
            return await reader.view(
                partition,
                funnel.funnel_id,
                grains=question.grains,
                dimsets=None if question.dimset is None else [question.dimset],
                since=question.first_buckets,
                until=question.last_buckets,
            )

    views = await asyncio.gather(*map(view_of, await reader.partitions()))
    return [view for view in views if view is not None]


async def check_definition(reader: CounterReader, funnel: Funnel) -> None:
    """Raises StoreRefusedError where another definition is counted under the funnel's name and version."""
    stored = (await reader.fingerprints()).get(funnel.funnel_id)
    if stored not in (None, funnel.fingerprint):
        raise StoreRefusedError(
            f"funnel {funnel.name} version {funnel.version} is counted by another definition; "
            "report with the file the worker has, or give the changed one a new version"
        )


async def summed(reader: CounterReader, question: ReportQuestion) -> tuple[dict[str, NamedCell], int | None]:
    """(cells by dimension value, summed over the buckets of the question's one grain; the watermark). Summed as
    they are stored: names are made once."""
    funnel = question.funnel
    views = await views_of(reader, question)
    counters = name_cells(
        funnel, over_all_buckets(merge_cells(views)), registers=await reader.registers(funnel.funnel_id)
    )
    cells = counters.get("total", {}).get("all", {})
    watermarks = [view.meta.watermark_ms for view in views if view.meta.watermark_ms is not None]
    return {dim: cell for dim, cell in cells.items() if question.label in (None, dim)}, min(watermarks, default=None)


async def days_by_cell(reader: CounterReader, question: ReportQuestion, *, span: Span) -> DaysOfCells:
    """The days of a span of the cells of a question's dimension set. Raises as `report`."""
    since, until = (start_ms(question.funnel, day) for day in (span.first, span.last + 1))
    asked = replace(question, grain=Grain.DAY, period=None, since_ms=since, until_ms=until)
    cells = merge_cells(await views_of(reader, asked))
    counters = name_cells(question.funnel, cells, registers=await reader.registers(question.funnel.funnel_id))
    days: DaysOfCells = {}
    for label, by_values in counters.get("day", {}).items():
        for dim, cell in by_values.items():
            days.setdefault(dim, {})[day_of(date.fromisoformat(label))] = cell
    return days


async def watermark_of(reader: CounterReader) -> int | None:
    """Up to when everything is counted; None where nothing is."""
    metas = (await metas_of(reader)).values()
    return min((meta.watermark_ms for meta in metas if meta.watermark_ms is not None), default=None)
