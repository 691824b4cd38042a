"""The methods that are compared. Each gives a statistic by step; an alarm is its first step above a threshold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.alerts.histories import WEEK_HOURS, Floats, History, Traffic
from streams.evidence.reference import learn_share
from streams.evidence.scan import HOUR_WINDOWS, MINUTE_WINDOWS, scan_share


def evidence(history: History, traffic: Traffic, _drop: float) -> Floats:
    """Ours: less than expected, in nats."""
    past_hours = np.arange(history.past_entries.size) % WEEK_HOURS
    reference = learn_share(history.past_went_on, history.past_entries, hours=past_hours)
    if reference is None:
        return np.zeros(history.entries.size)
    steps = traffic.steps_per_hour
    hours = (np.arange(history.entries.size) // steps + history.first_hour) % WEEK_HOURS
    windows = MINUTE_WINDOWS if steps == 60 else HOUR_WINDOWS
    scans = scan_share(
        history.went_on, history.entries, hours=hours, reference=reference, steps_per_hour=steps, windows=windows
    )
    return scans.down.evidence


def bound(history: History, traffic: Traffic, drop: float) -> Floats:
    """CUSUM of the log-likelihood ratio with the true shares of before and after: no test without this knowledge is
    faster at the same rate of false alarms (E. S. Page, 1954; G. Moustakides, 1986)."""
    before, after = traffic.rate, max(traffic.rate * (1 - drop), 1e-9)
    gain = history.went_on * np.log(after / before)
    gain += (history.entries - history.went_on) * np.log((1 - after) / (1 - before))
    path = np.cumsum(gain)
    return path - np.minimum.accumulate(np.minimum(path, 0.0))


def last_week(history: History, traffic: Traffic, _drop: float) -> Floats:
    """The z of two shares: the last hour (of sparse traffic: the last day) beside the same time a week ago."""
    steps = traffic.steps_per_hour
    window = steps if steps > 1 else 24
    k, n = _rolling(history.went_on, window), _rolling(history.entries, window)
    then_k, then_n = (
        np.repeat(a / steps, steps)[-a.size * steps :] for a in (history.past_went_on, history.past_entries)
    )
    k0 = _rolling(np.concatenate([then_k[-WEEK_HOURS * steps :], history.went_on]), window)[: k.size]
    n0 = _rolling(np.concatenate([then_n[-WEEK_HOURS * steps :], history.entries]), window)[: n.size]
    pooled = (k + k0) / np.maximum(n + n0, 1e-9)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / np.maximum(n, 1e-9) + 1 / np.maximum(n0, 1e-9)), 1e-12))
    z = (k0 / np.maximum(n0, 1e-9) - k / np.maximum(n, 1e-9)) / spread
    return np.where((n > 0) & (n0 > 0), z, 0.0)


def mad(history: History, traffic: Traffic, _drop: float) -> Floats:
    """The share of each whole hour (of sparse traffic: day) beside median and MAD of the last 28 of them."""
    length = traffic.steps_per_hour if traffic.steps_per_hour > 1 else 24
    past = history.past_went_on, history.past_entries
    if traffic.steps_per_hour == 1:
        past = tuple(a.reshape(-1, 24).sum(axis=1) for a in past)
    count = history.entries.size // length
    k = np.concatenate([past[0], history.went_on[: count * length].reshape(count, length).sum(axis=1)])
    n = np.concatenate([past[1], history.entries[: count * length].reshape(count, length).sum(axis=1)])
    share = k / np.maximum(n, 1)
    windows = np.lib.stride_tricks.sliding_window_view(share, 28)[-count - 1 : -1]
    median = np.median(windows, axis=1)
    spread = 1.4826 * np.median(np.abs(windows - median[:, None]), axis=1) + 1e-9
    statistic = np.zeros(history.entries.size)
    z = (median - share[-count:]) / spread
    statistic[length - 1 : count * length : length] = z
    return statistic


def _rolling(amounts: Floats, window: int) -> Floats:
    total = np.cumsum(amounts)
    total[window:] = total[window:] - total[:-window]
    return total


METHODS: dict[str, Callable[[History, Traffic, float], Floats]] = {
    "evidence": evidence,
    "bound": bound,
    "last week z": last_week,
    "MAD of buckets": mad,
}
KNOW_THE_DROP = frozenset({"bound"})
"""What the others say of a history is the same whatever drop is looked for."""
