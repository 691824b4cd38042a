"""One rate, or one amount, in two spans, with the test of the difference. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from streams.report.document.shapes import Rate
from streams.report.document.significance import difference_interval, holm, p_value


class Compared(TypedDict):
    """One rate in both spans."""

    before: Rate | None
    after: Rate | None
    difference: float | None
    interval: list[float] | None
    """95 % interval of the difference; None where one of them is no share."""
    p_value: float | None
    """None: no test, because one is no share, too few were counted, or a cohort still has open entries."""
    is_significant: bool | None
    """Together with the other tests of its table (Holm), 5 %."""


class ComparedNumber(TypedDict):
    """One amount in both spans."""

    before: int
    after: int
    change: float | None
    """Relative; None where there was nothing before."""


def compare_numbers(before: int, after: int) -> ComparedNumber:
    """An amount in both spans."""
    return {"before": before, "after": after, "change": after / before - 1 if before else None}


def pair_up(
    before: Mapping[str, Rate | None], after: Mapping[str, Rate | None]
) -> dict[str, tuple[Rate | None, Rate | None]]:
    """Of every rate of the first both."""
    return {key: (rate, after.get(key)) for key, rate in before.items()}


def compare_rates(
    pairs: Mapping[str, tuple[Rate | None, Rate | None]], are_known: Mapping[str, bool] | None = None
) -> dict[str, Compared]:
    """Every rate with its test. `are_known`: whether every outcome is there; what is open yet may make a difference
    that is none."""
    values = [p_value(*pair) if are_known is None or are_known[key] else None for key, pair in pairs.items()]
    return {
        key: {
            "before": _rate(before),
            "after": _rate(after),
            "difference": None if before is None or after is None else after["rate"] - before["rate"],
            "interval": difference_interval(before, after),
            "p_value": p,
            "is_significant": verdict,
        }
        for (key, (before, after)), p, verdict in zip(pairs.items(), values, holm(values), strict=True)
    }


def _rate(rate: Rate | None) -> Rate | None:
    """With a rate's members alone: a cohort has one more."""
    if rate is None:
        return None
    return {
        "rate": rate["rate"],
        "numerator": rate["numerator"],
        "denominator": rate["denominator"],
        "interval": rate["interval"],
    }
