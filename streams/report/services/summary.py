"""Counters and rates of a span, summed: one cell for the whole, or one for each value of a dimension. Never writes."""

from __future__ import annotations

from typing import TypedDict

from streams.report.document.question import ReportQuestion
from streams.report.document.rates import rates_of
from streams.report.document.shapes import NamedCell, Rates
from streams.report.services.reads import summed
from streams.report.services.report import one_grain
from streams.store.port import CounterReader


class SummaryCell(TypedDict):
    """The whole, or one value of the dimension."""

    dim: str
    """`channel=google`; empty: the whole."""
    counters: NamedCell
    rates: Rates


class SummaryDocument(TypedDict):
    """A span of one funnel: totals, or the sum of the buckets asked for."""

    funnel: str
    version: int
    watermark_ms: int | None
    currency: str
    cells: list[SummaryCell]


async def report_summary(reader: CounterReader, question: ReportQuestion) -> SummaryDocument:
    """Totals; days summed where the question is bounded in time. Without `dim` of the whole. Raises as `report`."""
    question, funnel = one_grain(question), question.funnel
    cells, watermark_ms = await summed(reader, question)
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "currency": funnel.currency,
        "cells": [
            {"dim": dim, "counters": cell, "rates": rates_of(funnel, cell, dim=dim)}
            for dim, cell in sorted(cells.items())
        ],
    }
