"""Answers the question of a report from whatever is stored now. Reads through `CounterReader`, never writes."""

from __future__ import annotations

from dataclasses import replace

from schemas.counters import Grain
from streams.report.cell import sum_cells
from streams.report.document import RATED_GRAINS, document_of
from streams.report.question import QuestionError, ReportQuestion
from streams.report.shapes import CountersDocument, NamedCell
from streams.report.what_if import Lifts, WhatIfDocument, what_if
from streams.store.port import CounterReader, StoreRefusedError


async def report(reader: CounterReader, question: ReportQuestion) -> CountersDocument:
    """The document, or the part asked for, with the rates of its cells.

    Raises StoreRefusedError where another definition is counted under the funnel's name and version,
    StoreUnavailableError.
    """
    funnel = question.funnel
    stored = (await reader.fingerprints()).get(funnel.funnel_id)
    if stored not in (None, funnel.fingerprint):
        raise StoreRefusedError(
            f"funnel {funnel.name} version {funnel.version} is counted by another definition; "
            "report with the file the worker has, or give the changed one a new version"
        )
    views = [
        await reader.view(
            partition,
            funnel.funnel_id,
            grains=question.grains,
            dimsets=None if question.dimset is None else [question.dimset],
            since=question.first_buckets,
            until=question.last_buckets,
        )
        for partition in await reader.partitions()
    ]
    return document_of(
        funnel,
        [view for view in views if view is not None],
        await reader.registers(funnel.funnel_id),
        rated=RATED_GRAINS if question.grain is None else question.grains,
        only=question.label,
        period=question.period,
    )


async def report_what_if(reader: CounterReader, question: ReportQuestion, lifts: Lifts) -> WhatIfDocument:
    """What would be counted with these lifts: of totals, or of the sum of the buckets asked for. Without `dim` of the
    whole, else of each value. Raises as `report`, and QuestionError."""
    funnel = question.funnel
    if question.grain is None:
        question = replace(question, grain=Grain.DAY if question.has_times else Grain.TOTAL)
    if question.dimset is None:
        question = replace(question, dimset=0)
    if not question.is_of_first_values:
        raise QuestionError(
            "what-if: a dimension with the attribution stage has other people at each stage; ask for another"
        )
    document = await report(reader, question)
    cells = cells_by_dim(document)
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": document["watermark_ms"],
        "currency": funnel.currency,
        "what_if": dict(lifts.texts),
        "cells": [what_if(funnel, cells[dim], lifts, dim=dim) for dim in sorted(cells)],
    }


def cells_by_dim(document: CountersDocument) -> dict[str, NamedCell]:
    """The cells of a document with one grain, summed over its buckets."""
    cells: dict[str, list[NamedCell]] = {}
    for buckets in document["counters"].values():
        for bucket in buckets.values():
            for dim, cell in bucket.items():
                cells.setdefault(dim, []).append(cell)
    return {dim: sum_cells(parts) for dim, parts in cells.items()}
