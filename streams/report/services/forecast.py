"""Answers what revenue to expect from journeys under way, from days of whatever is stored now. Never writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Final, TypedDict

from schemas.funnel.model import Funnel
from streams.report.document.question import QuestionError, ReportQuestion
from streams.report.document.shapes import NamedCell
from streams.report.document.spans import Span
from streams.report.forecasting.back_test import BackTest, back_test
from streams.report.forecasting.curves import window_days
from streams.report.forecasting.forecast import ForecastCell, forecast_cell
from streams.report.forecasting.learning import HISTORY_DAYS, LEAST_ORDERS, Learned, groups_now, learn
from streams.report.services.one_answer import OneAnswer
from streams.report.services.reads import days_by_cell, watermark_of
from streams.report.services.targets import progress_at
from streams.store.port import CounterReader

BACK_TEST_DAYS: Final = 182
HORIZON_DAYS: Final = 30


class ForecastDocument(TypedDict):
    """The answer to the question what is still to come."""

    funnel: str
    version: int
    watermark_ms: int | None
    currency: str
    cells: list[ForecastCell]
    back_test: BackTest | None
    """Of the whole, where it is asked for."""


async def report_forecast(
    reader: CounterReader, question: ReportQuestion, *, with_back_test: bool, now_ms: int
) -> ForecastDocument:
    """Of the whole, or of each value of the dimension asked for. Raises as `report`, and QuestionError."""
    funnel, reader = question.funnel, OneAnswer.of(reader)
    _check(question)
    watermark_ms = await watermark_of(reader)
    progress = progress_at(funnel, now_ms if watermark_ms is None else watermark_ms)
    first = progress.today - ceil(window_days(funnel)) - 1 - HISTORY_DAYS
    first -= BACK_TEST_DAYS if with_back_test else 0
    span = Span(first, progress.today)
    whole = (await days_by_cell(reader, replace(question, dimset=0, label=None), span=span)).get("", {})
    learned = learn(funnel, whole, now=progress.today, dim="")
    asked = {"": whole} if not question.dimset else await days_by_cell(reader, question, span=span)
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "watermark_ms": watermark_ms,
        "currency": funnel.currency,
        "cells": [
            _cell(funnel, days, whole=learned, dim=dim, now=progress.today + progress.share)
            for dim, days in sorted(asked.items())
            if question.label in (None, dim)
        ],
        "back_test": back_test(funnel, whole, today=progress.today, horizon_days=_horizon(funnel))
        if with_back_test
        else None,
    }


def _check(question: ReportQuestion) -> None:
    funnel = question.funnel
    if all(stage.nth is None for stage in funnel.stages):
        raise QuestionError(f"forecast: funnel {funnel.name} has no order stage, so no revenue comes of it")
    if question.grain is not None or question.has_times:
        raise QuestionError("forecast: it is of what is under way now; leave grain, since and until away")
    if not question.is_of_first_values:
        raise QuestionError(
            "forecast: a dimension with the attribution stage or last has other people at each stage; ask for another"
        )


def _cell(funnel: Funnel, days: Mapping[int, NamedCell], *, whole: Learned, dim: str, now: float) -> ForecastCell:
    today = int(now)
    learned = learn(funnel, days, now=today, dim=dim) if dim else whole
    if learned.curves.won < LEAST_ORDERS:
        learned = whole
    return forecast_cell(funnel, learned, groups=groups_now(funnel, days, now=now), dim=dim, today=today)


def _horizon(funnel: Funnel) -> int:
    """A month, or the conversion window where that is shorter."""
    return max(1, min(HORIZON_DAYS, int(window_days(funnel))))
