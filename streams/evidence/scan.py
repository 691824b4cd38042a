"""The largest evidence over windows that end now, each about 1.4 times as long as the one before. Pure.

A short window sees a break at once, a long one a small drop in time. There are many more short windows in a month than
long ones, so chance alone makes more of them look bad. Each window therefore pays for its number: what is shown is the
log-likelihood ratio minus log(`LONGEST` / window), as multiscale tests do (L. Duembgen & V. Spokoiny, 2001). One
threshold then serves all windows, and a series exceeds T about exp(-T) times in four weeks by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streams.evidence.likelihood import Floats, count_evidence, share_evidence
from streams.evidence.reference import CountReference, Ints, ShareReference

MINUTE_WINDOWS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 362, 512, 720)
"""In minutes."""
HOUR_WINDOWS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 336)
"""In hours, up to two weeks."""
LONGEST_HOURS = 4 * 168
_FALL_NATS = 2.0
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Scan:
    """By step, the window that speaks most in one direction; one array a field, all of one length."""

    evidence: Floats
    """Nats, 0 where nothing speaks in that direction."""
    window: Ints
    """Steps; 0 without evidence."""
    numerator: Floats
    """Of a share those that went on; of a count the count."""
    denominator: Floats
    """Of a share the trials; of a count 0."""
    expected: Floats
    """Share, or count."""


@dataclass(frozen=True, slots=True)
class Scans:
    """Both directions."""

    down: Scan
    up: Scan


def scan_share(
    successes: Floats,
    trials: Floats,
    *,
    hours: Ints,
    reference: ShareReference,
    steps_per_hour: int,
    windows: Sequence[int],
) -> Scans:
    """Of every step of equal length; `hours` is the hour of the week of each."""
    best = _Both(successes.size, steps_per_hour)
    mean, size = trials * reference.rate[hours], reference.size[hours]
    amounts_of = (successes, trials, mean)

    def ratio(sums: Sequence[Floats], window_size: Floats) -> Floats:
        k, n, expected = sums
        share = expected / np.maximum(n, _TINY)
        k, n = k / reference.dispersion, n / reference.dispersion
        return share_evidence(k, trials=n, expected=share, size=reference.effective(share, window_size))

    for window in (window for window in windows if window <= successes.size):
        sums = [_rolling(amounts, window) for amounts in amounts_of]
        worth = np.clip(np.maximum(_rolling(size, window) / steps_per_hour, size), 0.0, reference.total)
        older = [
            ratio([sum_ - _rolling(amounts, part) for sum_, amounts in zip(sums, amounts_of, strict=True)], worth)
            for part in _newest_parts(window)
        ]
        k, n, expected = sums
        best.take(_lasting(ratio(sums, worth), older), window, k, n, expected / np.maximum(n, _TINY))
    return best.scans()


def scan_count(
    counts: Floats, hours: Ints, *, reference: CountReference, steps_per_hour: int, windows: Sequence[int]
) -> Scans:
    """Of every step of equal length."""
    best = _Both(counts.size, steps_per_hour)
    mean, seen = reference.mean[hours] / steps_per_hour, reference.seen[hours]
    none = np.zeros(counts.size)

    def ratio(x: Floats, *, expected: Floats, known: Floats) -> Floats:
        x, expected = x / reference.dispersion, expected / reference.dispersion
        return count_evidence(x, expected=expected, size=reference.effective(known))

    for window in (window for window in windows if window <= counts.size):
        x, expected = _rolling(counts, window), _rolling(mean, window)
        known = np.maximum(_rolling(seen, window) / steps_per_hour, seen)
        older = [
            ratio(x - _rolling(counts, part), expected=expected - _rolling(mean, part), known=known)
            for part in _newest_parts(window)
        ]
        best.take(_lasting(ratio(x, expected=expected, known=known), older), window, x, none, expected)
    return best.scans()


def _newest_parts(window: int) -> list[int]:
    """How much of a window is left away to ask whether it is over."""
    return sorted({max(1, window // part) for part in (2, 4, 8, 16)})


def _lasting(ratio: Floats, older: Sequence[Floats]) -> Floats:
    """Nothing where the window says clearly less than it did without its newest part: it is over, the window lags."""
    peak = np.maximum.reduce([np.abs(each) for each in older])
    return np.where(np.abs(ratio) > peak - _FALL_NATS, ratio, 0.0)


def _rolling(amounts: Floats, window: int) -> Floats:
    """Sums of the last `window` steps; of fewer at the beginning."""
    total = np.cumsum(amounts)
    total[window:] = total[window:] - total[:-window]
    return total


class _Best:
    """The best window so far, of one direction."""

    def __init__(self, steps: int) -> None:
        self._evidence, self._window = np.zeros(steps), np.zeros(steps, dtype=np.int64)
        self._values = [np.zeros(steps) for _ in range(3)]

    def take(self, evidence: Floats, window: int, *, values: Sequence[Floats]) -> None:
        is_better = evidence > self._evidence
        is_better[: window - 1] = False  # the window does not fit yet
        self._evidence = np.where(is_better, evidence, self._evidence)
        self._window = np.where(is_better, window, self._window)
        self._values = [np.where(is_better, new, old) for new, old in zip(values, self._values, strict=True)]

    def scan(self) -> Scan:
        return Scan(self._evidence, self._window, *self._values)


class _Both:
    def __init__(self, steps: int, steps_per_hour: int) -> None:
        self._down, self._up = _Best(steps), _Best(steps)
        self._longest = LONGEST_HOURS * steps_per_hour

    def take(self, ratio: Floats, window: int, *values: Floats) -> None:
        price = np.log(self._longest / window)
        self._down.take(-ratio - price, window, values=values)
        self._up.take(ratio - price, window, values=values)

    def scans(self) -> Scans:
        return Scans(self._down.scan(), self._up.scan())
