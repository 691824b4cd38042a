"""Two spans compared, and what-if, from every entry by itself. Shares no code with the product."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from tests.oracle.passages import Facts
from tests.oracle.rates import wilson

Share = tuple[int, int]
"""(numerator, denominator)."""


@dataclass(frozen=True)
class Side:
    """What a span of days has of a cell, by the number of the stage."""

    entries: list[int]
    skipped: list[int]
    started: list[int]
    advanced: list[int]
    is_open: list[int]

    @property
    def passed(self) -> list[int]:
        """Got to it or jumped over it."""
        return [one + other for one, other in zip(self.entries, self.skipped, strict=True)]


def side_of(facts: Facts, cell: str, days: set[str] | None) -> Side:
    """Counted one by one."""
    count = len(facts.funnel.stages)
    side = Side(*([0] * count for _ in range(5)))
    for one in facts.passages(cell, days):
        entry, stage = one.entry, one.entry.stage
        side.entries[stage] += 1
        side.started[stage] += entry.previous is None
        side.advanced[stage] += entry.outcome == "advanced"
        side.is_open[stage] += entry.outcome == "open"
        for jumped in range(stage if entry.previous is None else entry.previous + 1, stage):
            side.skipped[jumped] += 1
    return side


def end_of(facts: Facts) -> int:
    """Where the overall conversion ends."""
    orders = [number for number in range(len(facts.funnel.stages)) if facts.funnel.is_order_stage(number)]
    return orders[0] if orders and orders[0] else facts.funnel.last


def chance(before: Share, after: Share) -> float | None:
    """The chi-square of the 2x2 table with N - 1, where every expected count is at least 1."""
    (a, n), (b, m) = before, after
    whole, s = n + m, a + b
    if not n or not m or a > n or b > m or min(n, m) * min(s, whole - s) < whole:
        return None
    chi2 = Fraction((whole - 1) * (a * m - b * n) ** 2, n * m * s * (whole - s))
    return math.erfc(math.sqrt(chi2 / 2))


def apart(before: Share, after: Share) -> list[float] | None:
    """Newcombe's interval of the difference."""
    first, second = wilson(*before), wilson(*after)
    if first is None or second is None:
        return None
    p, q = before[0] / before[1], after[0] / after[1]
    return [
        q - p - math.sqrt((q - second[0]) ** 2 + (first[1] - p) ** 2),
        q - p + math.sqrt((second[1] - q) ** 2 + (p - first[0]) ** 2),
    ]


def significant(chances: dict[str, float | None]) -> dict[str, bool | None]:
    """Holm's: each is tried at 5 % over those that are not smaller, and so must be all that are smaller."""
    tested = sorted(p for p in chances.values() if p is not None)
    passes = [p <= 0.05 / (len(tested) - rank) for rank, p in enumerate(tested)]
    first_failed = passes.index(False) if False in passes else len(passes)
    return {
        key: None if p is None else p < (tested[first_failed] if first_failed < len(tested) else math.inf)
        for key, p in chances.items()
    }


def compared(pairs: dict[str, tuple[Share, Share]], unknown: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A table of rates in both spans; of `unknown` ones entries are open."""
    chances = {key: None if key in unknown else chance(*pair) for key, pair in pairs.items()}
    verdicts = significant(chances)
    return {
        key: {
            "difference": after[0] / after[1] - before[0] / before[1] if before[1] and after[1] else None,
            "interval": apart(before, after),
            "p_value": chances[key],
            "is_significant": verdicts[key],
        }
        for key, (before, after) in pairs.items()
    }


def comparison(facts: Facts, cell: str, before: set[str], after: set[str]) -> dict[str, Any]:
    """Every table but the decompositions."""
    names, end = [stage.name for stage in facts.funnel.stages], end_of(facts)
    sides = side_of(facts, cell, before), side_of(facts, cell, after)
    steps = [(f"{j} -> {k}", number) for number, (j, k) in enumerate(pairwise(names))]

    def both(make: Any) -> tuple[Share, Share]:
        first, second = map(make, sides)
        return first, second

    cohorts = {name: both(lambda s, k=k: (s.advanced[k], s.entries[k])) for k, name in enumerate(names[:-1])}
    unknown = frozenset(name for k, name in enumerate(names[:-1]) if any(side.is_open[k] for side in sides))
    return {
        "period_conversion": compared({key: both(lambda s, j=j: (s.entries[j + 1], s.entries[j])) for key, j in steps}),
        "step_conversion": compared(
            {key: both(lambda s, j=j: (s.passed[j + 1] - s.started[j + 1], s.passed[j])) for key, j in steps}
        ),
        "cohort_conversion": compared(cohorts, unknown),
        "overall": compared({"": both(lambda s: (s.entries[end], s.entries[0]))})[""],
        "legs": _legs(facts, sides),
    }


def _legs(facts: Facts, sides: tuple[Side, Side]) -> dict[str, Any] | None:
    end = end_of(facts)
    lead = next((number for number, stage in enumerate(facts.funnel.stages) if stage.role == "lead"), 0)
    if not 0 < lead < end or not all(side.entries[0] and side.entries[lead] for side in sides):
        return None
    web, sales = ([(side.entries[to], side.entries[at]) for side in sides] for at, to in ((0, lead), (lead, end)))
    w, w2, s, s2 = (Fraction(*share) for share in (*web, *sales))
    of_web, of_sales = (w2 - w) * (s + s2) / 2, (s2 - s) * (w + w2) / 2
    tables = compared({"web": (web[0], web[1]), "sales": (sales[0], sales[1])})
    most = "web" if abs(of_web) > abs(of_sales) else "sales"
    return {
        "boundary": facts.funnel.stages[lead].name,
        **tables,
        "web_part": float(of_web),
        "sales_part": float(of_sales),
        "most": None if abs(of_web) == abs(of_sales) else most,
    }


def contributions_of(facts: Facts, dimension: int, before: set[str], after: set[str]) -> dict[str, Any] | None:
    """By value what it has contributed to the change of the overall conversion: (mix, rate, neither)."""
    end, cells = end_of(facts), facts.cells(dimension)
    shares = {
        cell: [
            (side.entries[end], side.entries[0]) for side in (side_of(facts, cell, days) for days in (before, after))
        ]
        for cell in cells
    }
    shares = {cell: pair for cell, pair in shares.items() if pair != [(0, 0), (0, 0)]}
    n, m = (sum(pair[at][1] for pair in shares.values()) for at in (0, 1))
    if not n or not m:
        return None
    whole: list[Fraction] = [Fraction(sum(pair[at][0] for pair in shares.values()), (n, m)[at]) for at in (0, 1)]
    middle = Fraction(whole[0] + whole[1]) / 2
    parts: dict[str, tuple[Fraction, Fraction, Fraction]] = {}
    for cell, ((a, na), (b, nb)) in shares.items():
        moved = Fraction(nb, m) - Fraction(na, n)
        total = Fraction(b, m) - Fraction(a, n) - moved * middle
        if (a and not na) or (b and not nb):
            parts[cell] = (Fraction(0), Fraction(0), total)
            continue
        own = [Fraction(top, bottom) for top, bottom in ((a, na), (b, nb)) if bottom]
        mix = moved * (sum(own, Fraction(0)) / len(own) - middle) if own else Fraction(0)
        parts[cell] = (mix, total - mix, Fraction(0))
    return {"change": whole[1] - whole[0], "parts": parts}


def lifted(facts: Facts, cell: str, *, top: Fraction, factors: dict[int, Fraction], points: Fraction) -> list[Fraction]:
    """Journeys that would pass each stage: each start times the conversions on its way, which end at 100 %."""
    side = side_of(facts, cell, None)
    rates = []
    for k in range(1, len(facts.funnel.stages)):
        base = side.passed[k - 1]
        rate = Fraction(side.passed[k] - side.started[k], base) if base else Fraction(0)
        more = rate * factors.get(k, Fraction(1)) + (points if k in factors else 0)
        rates.append(min(more, max(Fraction(1), rate)))
    starts = [Fraction(side.passed[0]) * top, *map(Fraction, side.started[1:])]
    return [
        sum(
            (start * math.prod(rates[at:k], start=Fraction(1)) for at, start in enumerate(starts[: k + 1])), Fraction(0)
        )
        for k in range(len(starts))
    ]


def gain(facts: Facts, cell: str, **supposed: Any) -> tuple[Fraction, Fraction, Fraction]:
    """(revenue, orders, entries of the last stage) more than counted."""
    side, funnel = side_of(facts, cell, None), facts.funnel
    passed = lifted(facts, cell, **supposed)
    grown = [
        passed[k] / side.passed[k] - 1 if side.passed[k] and side.entries[k] else Fraction(0)
        for k in range(len(passed))
    ]
    orders = [one for line in facts.customers for one in line if facts.lies_in(one.values, cell)]
    revenue = count = Fraction(0)
    for one in orders:
        at = next(number for number, stage in enumerate(funnel.stages) if stage.name == one.stage)
        amount = one.order.amount
        if (funnel.currency if amount is None else amount.currency) == funnel.currency:
            count += grown[at]
            revenue += grown[at] * (0 if amount is None else amount.minor)
    last = funnel.last
    more = passed[last] * Fraction(side.entries[last], side.passed[last]) if side.passed[last] else passed[last]
    return revenue, count, more - side.entries[last]
