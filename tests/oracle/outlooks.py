"""Targets and forecasts by hand, from what every day has: docs/reports.md in plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import NormalDist, fmean
from typing import Any

from tests.oracle.counting import EDGES_SECONDS

Days = dict[int, dict[str, dict[str, Any]]]
"""By ordinal of the date: the cell of the counters document."""
NORMAL = NormalDist()


def gamma_quantile(mean: float, variance: float, share: float) -> float:
    """Wilson and Hilferty's."""
    if mean <= 0 or variance <= 0:
        return max(0.0, mean)
    k = mean * mean / variance
    return mean * max(0.0, 1 - 1 / (9 * k) + NORMAL.inv_cdf(share) / (3 * math.sqrt(k))) ** 3


def gamma_reaches(mean: float, variance: float, amount: float) -> float:
    """The probability of at least this."""
    if amount <= 0 or mean <= 0 or variance <= 0:
        return 1.0 if amount <= max(0.0, mean) else 0.0
    k = mean * mean / variance
    return NORMAL.cdf((1 - 1 / (9 * k) - (amount / mean) ** (1 / 3)) * 3 * math.sqrt(k))


def target(
    amounts: Callable[[int], int],
    *,
    first: int,
    last: int,
    goal: int,
    now: tuple[int, float],
    begin: int,
    is_count: bool,
) -> dict[str, Any]:
    """`amounts` by day, all days as ordinals; `now`: today and which part of it is over; history begins at `begin`."""
    today, share = now
    history = {day: amounts(day) for day in range(begin, today)}
    by_weekday = len(history) >= 28
    done = {day: 1.0 if day < today else share for day in range(first, min(last, today) + 1)}
    left = {day: 1.0 if day > today else 1 - share for day in range(max(first, today), last + 1)}
    fact = sum(amounts(day) for day in range(first, last + 1))

    def kind(day: int) -> int:
        return day % 7 if by_weekday else 0

    groups: dict[int, list[int]] = {}
    for day, amount in history.items():
        groups.setdefault(kind(day), []).append(amount)
    means = {group: fmean(values) for group, values in groups.items()}
    answer: dict[str, Any] = {"fact": fact, "expected": None, "interval": None, "probability": None}
    is_known = len(history) >= 7
    over, ahead = (
        sum(means[kind(day)] * part for day, part in parts.items()) if is_known else 0.0 for parts in (done, left)
    )
    if over + ahead <= 0:
        over, ahead = sum(done.values(), 0.0), sum(left.values(), 0.0)
    answer["plan_by_now"] = goal * over / (over + ahead)
    if not is_known and left:
        return answer
    chi2 = sum((x - means[g]) ** 2 / means[g] for g, values in groups.items() for x in values if means[g])
    spread = chi2 / (len(history) - len(groups)) if is_known else 0.0
    spread = max(spread, 1.0) if is_count else spread
    mean = variance = 0.0
    for group, average in means.items() if left else ():
        days = sum(part for day, part in left.items() if kind(day) == group)
        mean += average * days
        variance += spread * average * (days + days * days / len(groups[group]))
    low, high = gamma_quantile(mean, variance, 0.025), gamma_quantile(mean, variance, 0.975)
    answer["expected"] = fact + mean
    answer["interval"] = [fact + math.floor(low), fact + math.ceil(high)] if is_count else [fact + low, fact + high]
    missing = goal - fact - (0.5 if is_count and left else 0)
    answer["probability"] = gamma_reaches(mean, variance, missing)
    return answer


@dataclass
class Shop:
    """What a forecast asks of a funnel."""

    names: list[str]
    orders: list[bool]
    """Which stages are order stages."""
    currency: str
    window_days: float

    def amount(self, cell: Any, stage: int, family: str) -> Any:
        """Of a cell."""
        return cell.get(self.names[stage], {}).get(family, 0)

    def money(self, cell: Any, stage: int, family: str) -> int:
        """In the funnel's currency."""
        return int((self.amount(cell, stage, family) or {}).get(self.currency, 0))


def by_age(by_edge: dict[str, int], age: float, window: float) -> float:
    """How many of a histogram were done by an age in days: spread evenly between two edges, none after the window."""
    edges = [(edge / 86_400, str(edge)) for edge in EDGES_SECONDS] + [(math.inf, "inf")]
    total, low = 0.0, 0.0
    for edge, name in edges:
        high = min(edge, window)
        count = by_edge.get(name, 0)
        if age >= high or high <= low:
            total += count
        elif age > low:
            total += count * (age - low) / (high - low)
        low = max(low, high)
    return total


class Forecast:
    """What the settled cohorts teach."""

    def __init__(self, shop: Shop, days: Days, now: int) -> None:
        self.shop, self.window = shop, shop.window_days
        end = now - math.ceil(self.window) - 1
        self.step = max(1.0, self.window / 100)
        self.settled = [cell for day, cell in days.items() if end - 90 <= day < end]
        self.won = sum(
            sum((shop.amount(cell, k, "lead_time") or {}).values())
            for cell in self.settled
            for k in range(len(shop.names))
        )
        past = [cell for day, cell in days.items() if now - 90 <= day < now]
        sums = [
            [sum(shop.money(cell, k, family) for k, is_order in enumerate(shop.orders) if is_order) for cell in past]
            for family in ("orders", "revenue")
        ]
        self.orders, revenue = sum(sums[0]), sum(sums[1])
        self.mean = revenue / self.orders if self.orders else 0.0
        self.spread = 0.0
        if revenue > 0:
            squares = [(r - n * self.mean) ** 2 / n for n, r in zip(*sums, strict=True) if n > 0]
            self.spread = sum(squares) / max(1, len(squares) - 1) / self.mean**2
        self._ordered: dict[int, list[float]] = {}

    def sum(self, stage: int, family: str) -> int:
        """Of the settled cohorts."""
        return sum(self.shop.amount(cell, stage, family) for cell in self.settled)

    def histogram(self, stage: int, family: str, to: int | None = None) -> dict[str, int]:
        """Of the settled cohorts, by edge."""
        summed: dict[str, int] = {}
        for cell in self.settled:
            for key, count in (self.shop.amount(cell, stage, family) or {}).items():
                *later, edge = key.split(" ")
                if to is None or later == [self.shop.names[to]]:
                    summed[edge] = summed.get(edge, 0) + count
        return summed

    def goes(self, stage: int, to: int, age: float) -> list[float]:
        """How many go from one stage to another in each step from an age on."""
        known, steps = self.histogram(stage, "durations", to), []
        while known and age < self.window:
            steps.append(by_age(known, age + self.step, self.window) - by_age(known, age, self.window))
            age += self.step
        return steps

    def there(self, stage: int, age: float) -> float:
        """How many were still there at an age."""
        gone = sum(
            by_age(self.histogram(stage, "durations", to), age, self.window)
            for to in range(stage + 1, len(self.shop.names))
        )
        return max(
            0.0, self.sum(stage, "entries") - gone - by_age(self.histogram(stage, "loss_time"), age, self.window)
        )

    def ordered(self, stage: int) -> list[float]:
        """Of an entry the share that orders in each step after it."""
        if self.shop.orders[stage]:
            return [1.0]
        if stage not in self._ordered:
            total = [0.0] * math.ceil(self.window / self.step)
            for to in range(stage + 1, len(self.shop.names)):
                convolve(total, self.goes(stage, to, 0.0), self.ordered(to))
            entries, won, came = self.sum(stage, "entries"), self.sum(stage, "won"), sum(total)
            scale = won / entries / came if entries and came > 0 else 0.0
            self._ordered[stage] = [share * scale for share in total]
        return self._ordered[stage]

    def brings(self, stage: int, age: float) -> list[float] | None:
        """Of an entry that is still there at an age the share that orders in each step from now."""
        there = self.there(stage, age)
        if there <= 0:
            return None
        total = [0.0] * math.ceil(self.window / self.step)
        for to in range(stage + 1, len(self.shop.names)):
            convolve(total, [share / there for share in self.goes(stage, to, age)], self.ordered(to))
        return total


def convolve(total: list[float], first: list[float], second: list[float]) -> None:
    """One time and then another, each spread over its step: the sum ends in the step of both or in the next one; what
    would come after the last step comes in it. A second of one step alone takes no time."""
    end = len(total) - 1
    for at, share in enumerate(first):
        for later, other in enumerate(second):
            if later == 0:
                total[min(at, end)] += share * other
            else:
                total[min(at + later, end)] += share * other / 2
                total[min(at + later + 1, end)] += share * other / 2


def forecast(shop: Shop, days: Days, *, now: float, learned: Forecast, today: int) -> dict[str, Any] | None:
    """Orders and revenue by date, of every day's entries that are still there."""
    if not learned.orders or not learned.mean or not learned.won:
        return None
    stages: dict[int, list[Any]] = {}
    for day, cell in days.items():
        if not now - shop.window_days <= day <= now:
            continue
        age = (now - day) / 2 if now - day < 1 else now - day - 0.5
        for stage in range(len(shop.names) - 1):
            if shop.orders[stage]:
                continue
            gone = sum((shop.amount(cell, stage, "transitions.cohort") or {}).values())
            gone += sum((shop.amount(cell, stage, "lost.cohort") or {}).values())
            there = shop.amount(cell, stage, "entries") - gone
            if there > 0:
                stages.setdefault(stage, []).append((age, there, cell))
    whens = [last for days_on in (7, 14, 30, 60, 90) if (last := today + days_on) < today + int(shop.window_days)]
    return {
        "when": {
            (date.fromordinal(1) + timedelta(days=until - 1)).isoformat(): _until(shop, stages, learned, until - today)
            for until in [*whens, today + int(shop.window_days)]
        },
        "entries": {shop.names[stage]: sum(there for _, there, _ in groups) for stage, groups in stages.items()},
    }


def _until(shop: Shop, stages: dict[int, list[Any]], learned: Forecast, days: int) -> dict[str, Any]:
    steps, orders, mean, variance = round(days / learned.step), 0.0, 0.0, 0.0
    for stage, groups in stages.items():
        values = sum(shop.money(cell, stage, "value") for cell in learned.settled)
        of_stage = worth_of_stage = 0.0
        for age, there, cell in groups:
            brought = sum((learned.brings(stage, age) or [])[:steps])
            worth = there * learned.mean
            if values:
                other = there - shop.amount(cell, stage, "open")
                worth = shop.money(cell, stage, "open_value") + other * values / learned.sum(stage, "entries")
            of_stage, worth_of_stage = of_stage + there * brought, worth_of_stage + worth * brought
        orders, mean = orders + of_stage, mean + worth_of_stage
        if of_stage > 0 and worth_of_stage > 0:
            n = sum(there for _, there, _ in groups)
            q, v = min(1.0, of_stage / n), worth_of_stage / of_stage
            variance += n * v * v * (q * (1 - q) + q * learned.spread)
            won = max(1, learned.sum(stage, "won"))
            variance += worth_of_stage**2 * ((1 - q) / won + learned.spread / learned.orders)
    return {
        "orders": orders,
        "expected": mean,
        "interval": [gamma_quantile(mean, variance, 0.025), gamma_quantile(mean, variance, 0.975)],
    }


def looked_back(shop: Shop, days: Days, *, now: int, horizon: int) -> dict[str, Any]:
    """What would have been foretold as the day `now` began: orders within the horizon, and what came."""
    learned, mean, variance = Forecast(shop, days, now), 0.0, 0.0
    for stage in range(shop.orders.index(True)):
        n = orders = 0.0
        for day, cell in days.items():
            if now - shop.window_days <= day < now:
                there = _there_of(shop, cell, stage, age=now - day - 0.5)
                brought = learned.brings(stage, now - day - 0.5) or []
                n, orders = n + there, orders + there * sum(brought[: round(horizon / learned.step)])
        if n > 0:
            q = min(1.0, orders / n)
            mean += orders
            variance += n * q * (1 - q) + orders * orders * (1 - q) / max(1, learned.sum(stage, "won"))
    came = 0.0
    for day in range(now, now + horizon):
        for stage in range(len(shop.names)):
            times = shop.amount(days.get(day, {}), stage, "lead_time") or {}
            came += sum(times.values()) - by_age(times, day - now + 0.5, shop.window_days)
    return {
        "expected": mean,
        "interval": [gamma_quantile(mean, variance, 0.025), gamma_quantile(mean, variance, 0.975)],
        "actual": came,
    }


def _there_of(shop: Shop, cell: Any, stage: int, *, age: float) -> float:
    by_stage: dict[str, dict[str, int]] = {}
    for key, count in (shop.amount(cell, stage, "durations") or {}).items():
        to, _, edge = key.rpartition(" ")
        by_stage.setdefault(to, {})[edge] = count
    gone = sum(by_age(known, age, shop.window_days) for known in by_stage.values())
    lost = by_age(shop.amount(cell, stage, "loss_time") or {}, age, shop.window_days)
    return max(0.0, int(shop.amount(cell, stage, "entries")) - gone - lost)
