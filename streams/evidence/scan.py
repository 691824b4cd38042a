"""The largest evidence over windows that end now, each about 1.4 times as long as the one before. Pure.

A short window sees a break at once, a long one a small drop in time. There are many more short windows in a month than
long ones, so chance alone makes more of them look bad. Each window therefore pays for its number: what is shown is the
log-likelihood ratio minus log(`LONGEST` / window), as multiscale tests do (L. Duembgen & V. Spokoiny, 2001). One
threshold then serves all windows. By chance a series exceeds T less than exp(-T) times in four weeks where it is judged
by hours, about seven times as often where by minutes too (docs/alerts.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from streams.evidence.likelihood import Floats, count_evidence, share_evidence
from streams.evidence.reference import CountReference, Ints, ShareReference

MINUTE_WINDOWS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 362, 512, 720)
"""In minutes."""
HOUR_WINDOWS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 336)
"""In hours, up to two weeks."""
LONGEST_HOURS = 4 * 168
_FALL_NATS = 2.0
_PARTS = np.array([[2], [4], [8], [16]])
"""One part in so many of a window is left away to ask whether it is over."""
_BLOCK = 128
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
    newest: int | None = None,
) -> Scans:
    """Of every step of equal length, or of so many of the newest; `hours` is the hour of the week of each."""
    mean, size, dispersion = trials * reference.rate[hours], reference.size[hours], reference.dispersion

    def scanned(cut: _Windows) -> Scans:
        k, n, expected = (cut.sums(amounts) for amounts in (successes, trials, mean))
        share = expected / np.maximum(n, _TINY)
        worth = np.clip(cut.worth(size, steps_per_hour), 0.0, reference.total)
        ratio = share_evidence(
            k / dispersion,
            trials=n / dispersion,
            expected=share,
            size=reference.effective(share, worth[:, None]),
        )
        return cut.best(_lasting(ratio), steps_per_hour, values=(k[:, 0], n[:, 0], share[:, 0]))

    return _joined([scanned(cut) for cut in _cuts(windows, successes.size, newest=newest)])


def scan_count(
    counts: Floats,
    hours: Ints,
    *,
    reference: CountReference,
    steps_per_hour: int,
    windows: Sequence[int],
    newest: int | None = None,
) -> Scans:
    """Of every step of equal length, or of so many of the newest."""
    mean, seen, dispersion = reference.mean[hours] / steps_per_hour, reference.seen[hours], reference.dispersion

    def scanned(cut: _Windows) -> Scans:
        x, expected = cut.sums(counts), cut.sums(mean)
        known = reference.effective(cut.worth(seen, steps_per_hour))
        ratio = count_evidence(x / dispersion, expected=expected / dispersion, size=known[:, None])
        return cut.best(_lasting(ratio), steps_per_hour, values=(x[:, 0], np.zeros_like(known), expected[:, 0]))

    return _joined([scanned(cut) for cut in _cuts(windows, counts.size, newest=newest)])


def _lasting(ratio: Floats) -> Floats:
    """Nothing where the window says clearly less than it did without its newest part: it is over, the window lags."""
    whole, older = ratio[:, 0], np.abs(ratio[:, 1:]).max(axis=1)
    return np.where(np.abs(whole) > older - _FALL_NATS, whole, 0.0)


def _cuts(windows: Sequence[int], steps: int, *, newest: int | None) -> list[_Windows]:
    """The newest of so many steps, in blocks whose arrays stay in the processor's cache."""
    first = 0 if newest is None else steps - max(0, newest)
    starts = range(first, steps, _BLOCK) or [steps]
    return [_Windows(windows, start=start, end=min(start + _BLOCK, steps)) for start in starts]


def _joined(scans: Sequence[Scans]) -> Scans:
    """One after the other."""
    if len(scans) == 1:
        return scans[0]
    return Scans(_chained([each.down for each in scans]), _chained([each.up for each in scans]))


def _chained(scans: Sequence[Scan]) -> Scan:
    return Scan(*(np.concatenate([getattr(scan, field.name) for scan in scans]) for field in fields(Scan)))


class _Windows:
    """Windows that end with each of the steps [start, end): all at once, as arrays by window, part and step. Part 0 is
    the whole window, the others lack so much of its newest."""

    def __init__(self, windows: Sequence[int], *, start: int, end: int) -> None:
        lengths = np.array(windows, dtype=np.int64)
        self._lengths, ends = lengths, np.arange(start + 1, end + 1)
        first = ends - lengths[:, None]
        self._fits = first >= 0
        self._first = np.maximum(first, 0)
        left_away = np.concatenate([np.zeros((1, lengths.size), int), np.maximum(1, lengths // _PARTS)])
        self._end = np.maximum(ends - left_away.T[:, :, None], self._first[:, None])
        self._steps = slice(start, end)

    def sums(self, amounts: Floats) -> Floats:
        """Of each part of each window."""
        total = np.concatenate([[0.0], np.cumsum(amounts)])
        return np.asarray(total[self._end] - total[self._first][:, None])

    def worth(self, by_step: Floats, steps_per_hour: int) -> Floats:
        """What hours of the week are worth to a window: the sum of those it touches, at least that of its last."""
        return np.maximum(self.sums(by_step)[:, 0] / steps_per_hour, by_step[self._steps])

    def best(self, ratio: Floats, steps_per_hour: int, *, values: Sequence[Floats]) -> Scans:
        """The window that speaks most of each step; the shortest of several."""
        price = np.log(LONGEST_HOURS * steps_per_hour / self._lengths)[:, None]
        return Scans(self._best(-ratio - price, values), self._best(ratio - price, values))

    def _best(self, evidence: Floats, values: Sequence[Floats]) -> Scan:
        evidence = np.where(self._fits, evidence, 0.0)
        best = evidence.argmax(axis=0)[None]
        nats = np.take_along_axis(evidence, best, axis=0)[0]
        speaks = nats > 0
        window = np.where(speaks, self._lengths[best[0]], 0)
        numerator, denominator, expected = (
            np.where(speaks, np.take_along_axis(value, best, axis=0)[0], 0.0) for value in values
        )
        return Scan(np.maximum(nats, 0.0), window, numerator, denominator, expected)
