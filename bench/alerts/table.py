"""Runs every method over simulated histories and makes the table: delay of the alarm at one rate of false alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.alerts.histories import WEEK_HOURS, Traffic, make
from bench.alerts.methods import KNOW_THE_DROP, METHODS

FALSE_ALARMS = 0.10
NEVER = 10**9
TRAFFIC = (
    Traffic("1,000 a minute, 5 %", 60_000, 0.05, 60, 1),
    Traffic("100 a minute, 5 %", 6_000, 0.05, 60, 1),
    Traffic("100 a minute, 5 %, hours differ", 6_000, 0.05, 60, 1, season=0.6),
    Traffic("100 an hour, 10 %", 100, 0.10, 1, 12),
    Traffic("100 an hour, 10 %, weeks differ by 7 %", 100, 0.10, 1, 12, drift=0.07),
    Traffic("400 a week, 10 %", 400 / WEEK_HOURS, 0.10, 1, 25),
    Traffic("20 a week, 30 %", 20 / WEEK_HOURS, 0.30, 1, 52),
)
DROPS = (0.2, 0.3, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one kind of traffic and drop."""

    traffic: str
    drop: float
    method: str
    median: float
    """Steps (minutes or hours) from the drop to the alarm."""
    p90: float
    mean: float
    """What is not found while it is watched counts as found at its end."""
    entries: float
    """Entries in the median delay."""
    false_alarms_a_year: float


def rows(
    *, series: int, seed: int, traffic: tuple[Traffic, ...] = TRAFFIC, drops: tuple[float, ...] = DROPS
) -> list[Row]:
    """All of them. `series` histories of each kind."""
    table: list[Row] = []
    for kind in traffic:
        rng = np.random.default_rng(seed)
        quiet = [make(kind, rng, steps=kind.quiet_steps) for _ in range(series)]
        thresholds: dict[str, float] = {}
        for drop in drops:
            for name, method in METHODS.items():
                if name in KNOW_THE_DROP or name not in thresholds:
                    highest = [method(one, kind, drop).max() for one in quiet]
                    thresholds[name] = float(np.quantile(highest, 1 - FALSE_ALARMS))
            table += _rows(kind, drop, thresholds=thresholds, rng=rng, series=series)
    return table


def _rows(
    kind: Traffic, drop: float, *, thresholds: dict[str, float], rng: np.random.Generator, series: int
) -> list[Row]:
    lead = min(kind.quiet_steps // 4, 14 * 24 * kind.steps_per_hour)
    after = min(kind.quiet_steps, 24 * 28 * kind.steps_per_hour if kind.steps_per_hour == 1 else 1440)
    histories = [make(kind, rng, steps=lead + after, drop=drop, drop_at=lead) for _ in range(series)]
    result = []
    for name, method in METHODS.items():
        delays = []
        for history in histories:
            above = method(history, kind, drop) > thresholds[name]
            if not above[:lead].any():
                delays.append(int(above[lead:].argmax()) + 1 if above[lead:].any() else NEVER)
        median, p90 = (float(np.quantile(delays, q, method="higher")) for q in (0.5, 0.9))
        mean = float(np.minimum(delays, after).mean())
        yearly = -np.log(1 - FALSE_ALARMS) / kind.quiet_weeks * 52
        entries = median * kind.per_hour / kind.steps_per_hour
        result.append(Row(kind.name, drop, name, median, p90, mean, entries, float(yearly)))
    return result


def text(table: list[Row]) -> str:
    """As a Markdown table: median delay (90 % point) and, of ours, median and mean beside the bound's."""
    names = list(METHODS)
    lines = [
        "| Traffic | Drop | " + " | ".join(names) + " | ours / bound | of means |",
        "|---" * (len(names) + 4) + "|",
    ]
    cells = {(row.traffic, row.drop, row.method): row for row in table}
    for kind, drop in dict.fromkeys((row.traffic, row.drop) for row in table):
        ours, bound, *_ = shown = [cells[kind, drop, name] for name in names]
        ratios = (f"{ours.median / bound.median:.2f}", f"{ours.mean / bound.mean:.2f}")
        lines.append(
            f"| {kind} | {drop:.0%} | " + " | ".join(f"{_steps(row.median)} ({_steps(row.p90)})" for row in shown)
            + f" | {' | '.join(ratios if ours.median < NEVER else '--')} |"
        )  # fmt: skip
    return "\n".join(lines)


def _steps(steps: float) -> str:
    return "-" if steps >= NEVER else f"{steps:,.0f}"
