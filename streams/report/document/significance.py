"""Two shares compared: is their difference more than chance? Pure.

The test is Pearson's chi-square of two proportions with (N-1)/N in place of 1, as E. S. Pearson (1947) and I. Campbell
(Statistics in Medicine 26, 2007) recommend it where every expected count is at least 1; with less there is no verdict.
Of several tests that are looked at together S. Holm's procedure (1979) keeps the chance of any false alarm below 5 %.
The interval of the difference is R. G. Newcombe's of the Wilson intervals (1998, method 10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from streams.report.document.rates import wilson
from streams.report.document.shapes import Rate

ALPHA = 0.05
LEAST_EXPECTED = 1
"""With fewer expected successes or failures in one of the two the test says nothing."""


def p_value(before: Rate | None, after: Rate | None) -> float | None:
    """The two-sided p-value; None where one of them is no share, or too few were counted."""
    if before is None or after is None or before["interval"] is None or after["interval"] is None:
        return None
    trials = before["denominator"] + after["denominator"]
    successes = before["numerator"] + after["numerator"]
    smaller = min(before["denominator"], after["denominator"])
    if smaller * min(successes, trials - successes) < LEAST_EXPECTED * trials:
        return None
    pooled = successes / trials
    variance = pooled * (1 - pooled) * (1 / before["denominator"] + 1 / after["denominator"])
    z = abs(after["rate"] - before["rate"]) / math.sqrt(variance) * math.sqrt((trials - 1) / trials)
    return math.erfc(z / math.sqrt(2))


def difference_interval(before: Rate | None, after: Rate | None) -> list[float] | None:
    """[low, high] of after minus before, 95 %."""
    if before is None or after is None:
        return None
    first = wilson(before["numerator"], before["denominator"])
    second = wilson(after["numerator"], after["denominator"])
    if first is None or second is None:
        return None
    difference = after["rate"] - before["rate"]
    down = math.hypot(after["rate"] - second[0], first[1] - before["rate"])
    up = math.hypot(second[1] - after["rate"], before["rate"] - first[0])
    return [difference - down, difference + up]


def holm(p_values: Sequence[float | None]) -> list[bool | None]:
    """Which are significant together; None where there was no test."""
    order = sorted((p, number) for number, p in enumerate(p_values) if p is not None)
    verdicts: list[bool | None] = [None] * len(p_values)
    is_rejecting = True
    for rank, (p, number) in enumerate(order):
        is_rejecting = is_rejecting and p <= ALPHA / (len(order) - rank)
        verdicts[number] = is_rejecting
    return verdicts
