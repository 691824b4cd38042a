"""The rows of a report as CSV for a spreadsheet: a line for each row, a column for each number. Pure.

`streams.report.questions.long_form` has every counter and rate, a line for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from schemas.funnel.model import Funnel
from schemas.money import minor_digits
from streams.report.document.cell import CellView
from streams.report.document.rates import rates_of
from streams.report.document.shapes import CountersDocument, Rate, Rates
from streams.report.questions.lines import Arrangement, Line, grain_of, lines_of, values_of
from streams.report.questions.long_form import csv_bytes

Row = dict[str, object]
_COUNTS = ("events", "entries", "started", "skipped", "completed", "open", "stalled", "won")
_OUTCOMES = {
    "advanced": "advanced.cohort",
    "abandoned": "abandoned.cohort",
    "lost": "lost.cohort",
    "revived": "revived.cohort",
}
_AMOUNTS = ("orders", "revenue", "refunds", "cost", "discount", "spend", "value", "open_value")


def rows_csv(parts: Iterable[tuple[Funnel, CountersDocument, Arrangement]]) -> bytes:
    """Several funnels one below the other; a column that one of them does not have is empty there."""
    rows = [row for funnel, document, arrangement in parts for row in _rows(funnel, document, arrangement=arrangement)]
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["funnel"]
    return csv_bytes(columns, ([row.get(name, "") for name in columns] for row in rows))


def _rows(funnel: Funnel, document: CountersDocument, *, arrangement: Arrangement) -> Iterable[Row]:
    grain = grain_of(document) or "total"
    for line in lines_of(funnel, document, arrangement=arrangement):
        bucket = line.bucket or _span(document, grain)
        yield {
            "funnel": funnel.name,
            "version": funnel.version,
            "grain": grain,
            "bucket": bucket,
            **_values(funnel, line),
            **_whole(funnel, line),
            **_stages(funnel, line),
        }


def _span(document: CountersDocument, grain: str) -> str:
    """`all` of totals; of a sum of buckets the first and the last."""
    buckets = sorted(document["counters"].get(grain, {}))
    return buckets[0] if len(buckets) == 1 else f"{buckets[0]}..{buckets[-1]}"


def _values(funnel: Funnel, line: Line) -> Row:
    values = values_of(funnel, line.dim)
    return dict.fromkeys(values, f"({line.others} others)") if line.others else dict(values)


def _whole(funnel: Funnel, line: Line) -> Row:
    rates, view = rates_of(funnel, line.cell, dim=line.dim), CellView(line.cell)
    money: Mapping[str, Any] = rates["money"]
    units = 10 ** minor_digits(funnel.currency)
    row: Row = {**_rate("overall", rates["overall"]), "bottleneck": rates["bottleneck"] or ""}
    names = ["", *(stage.name for stage in funnel.stages)]
    for family in _AMOUNTS:
        for currency, amount in sorted(_by_currency(view, names, family=family).items()):
            row[f"{family} {currency}"] = amount if family == "orders" else _major(amount, currency)
    for name in ("aov", "rpm", "cpm", "cpc", "cpl", "cpa", "forecast"):
        row[f"{name} {funnel.currency}"] = "" if money[name] is None else money[name] / units
    return row | {"roas": "" if money["roas"] is None else money["roas"]}


def _by_currency(view: CellView, stages: Sequence[str], *, family: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for stage in stages:
        for currency, amount in view.amounts(stage, family).items():
            sums[currency] = sums.get(currency, 0) + amount
    return sums


def _major(minor: int, currency: str) -> str:
    return str(Decimal(minor).scaleb(-minor_digits(currency)))


def _stages(funnel: Funnel, line: Line) -> Row:
    rates, view = rates_of(funnel, line.cell, dim=line.dim), CellView(line.cell)
    names = [stage.name for stage in funnel.stages]
    row: Row = {}
    for number, name in enumerate(names):
        row |= {f"{name} {count}": view.amount(name, count) for count in _COUNTS}
        row |= {f"{name} {outcome}": view.amount(name, family) for outcome, family in _OUTCOMES.items()}
        if number:
            row |= _rate(f"{name} conversion", rates["period_conversion"][f"{names[number - 1]} -> {name}"])
            row |= _rate(f"{name} step conversion", rates["step_conversion"][f"{names[number - 1]} -> {name}"])
        row |= _outcomes(name, rates) if number < len(names) - 1 else {}
    return row


def _outcomes(name: str, rates: Rates) -> Row:
    cohort = rates["cohort_conversion"].get(name)
    return {
        **_rate(f"{name} went on", cohort),
        f"{name} maturity": "" if cohort is None else cohort["maturity"],
        **_rate(f"{name} abandonment", rates["abandonment"].get(name)),
        **_rate(f"{name} loss", rates["loss"].get(name)),
        **_rate(f"{name} leaving", rates["leaving"].get(name)),
        **_rate(f"{name} win", rates["win"].get(name)),
    }


def _rate(name: str, rate: Rate | None) -> Row:
    low, high = (rate["interval"] if rate is not None else None) or ("", "")
    return {name: "" if rate is None else rate["rate"], f"{name} low": low, f"{name} high": high}
