"""The largest evidence over windows that end now, each about 1.4 times as long as the one before. Pure.

A short window sees a break at once, a long one a small drop in time. There are many more short windows in a month than
long ones, so chance alone makes more of them look bad. Each window therefore pays for its number: what is shown is the
log-likelihood ratio minus log(`LONGEST` / window), as multiscale tests do (L. Duembgen & V. Spokoiny, 2001). One
threshold then serves all windows. By chance a series exceeds T less than exp(-T) times in four weeks where it is judged
by hours, about seven times as often where by minutes too (docs/alerts.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import EllipsisType
from typing import TypeAlias

import numpy as np

from streams.evidence.likelihood import Floats, count_evidence, share_evidence
from streams.evidence.reference import HOURS_OF_WEEK, CountReference, Ints, ShareReference

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
    size, dispersion = reference.size[hours], reference.dispersion
    totals, sizes = _totals(successes, trials, trials * reference.rate[hours]), _totals(size)

    def scanned(cut: _Windows) -> Scans:
        worth = np.clip(cut.worth(size, sizes), 0.0, reference.total)
        weeks = np.broadcast_to(cut.hours / HOURS_OF_WEEK, worth.shape)

        def ratio(sums: Sequence[Floats], at: _At) -> Floats:
            k, n, expected = sums
            share = expected / np.maximum(n, _TINY)
            known = reference.effective(share, worth[at], weeks=weeks[at])
            return share_evidence(k / dispersion, trials=n / dispersion, expected=share, size=known)

        k, n, expected = cut.sums(totals)
        return cut.best(cut.said(totals, ratio), values=(k, n, expected / np.maximum(n, _TINY)))

    return _joined([scanned(cut) for cut in _cuts(windows, successes.size, steps_per_hour, newest=newest)])


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
    seen, dispersion = reference.seen[hours], reference.dispersion
    totals, seens = _totals(counts, reference.mean[hours] / steps_per_hour), _totals(seen)

    def scanned(cut: _Windows) -> Scans:
        worth = reference.effective(cut.worth(seen, seens))

        def ratio(sums: Sequence[Floats], at: _At) -> Floats:
            x, expected = sums
            return count_evidence(x / dispersion, expected=expected / dispersion, size=worth[at])

        x, expected = cut.sums(totals)
        return cut.best(cut.said(totals, ratio), values=(x, np.zeros_like(x), expected))

    return _joined([scanned(cut) for cut in _cuts(windows, counts.size, steps_per_hour, newest=newest)])


def _totals(*amounts: Floats) -> list[Floats]:
    """Sums of all steps before each."""
    return [np.concatenate([[0.0], np.cumsum(each)]) for each in amounts]


def _cuts(windows: Sequence[int], steps: int, steps_per_hour: int, *, newest: int | None) -> list[_Windows]:
    """The newest of so many steps, in blocks whose arrays stay in the processor's cache."""
    first = 0 if newest is None else steps - max(0, newest)
    starts = range(first, steps, _BLOCK) or [steps]
    return [_Windows(windows, steps_per_hour, start=start, end=min(start + _BLOCK, steps)) for start in starts]


def _joined(scans: Sequence[Scans]) -> Scans:
    """One after the other."""
    if len(scans) == 1:
        return scans[0]
    return Scans(_chained([each.down for each in scans]), _chained([each.up for each in scans]))


def _chained(scans: Sequence[Scan]) -> Scan:
    return Scan(*(np.concatenate([getattr(scan, field.name) for scan in scans]) for field in fields(Scan)))


_At: TypeAlias = tuple[Ints, Ints] | EllipsisType
"""Some windows at some steps, by index; or all."""


class _Windows:
    """Windows that end with each of the steps [start, end): all at once, as arrays by window and step."""

    def __init__(self, windows: Sequence[int], steps_per_hour: int, *, start: int, end: int) -> None:
        self._lengths: Ints = np.array(windows, dtype=np.int64)[:, None]
        self.hours = self._lengths / steps_per_hour
        self._price = np.log(LONGEST_HOURS / self.hours)
        ends = np.arange(start + 1, end + 1)
        self._fits = ends >= self._lengths
        self._first = np.maximum(ends - self._lengths, 0)
        self._end = np.broadcast_to(ends, self._first.shape)
        self._steps = slice(start, end)
        self._per_hour = steps_per_hour

    def sums(self, totals: Sequence[Floats]) -> list[Floats]:
        """Of each window."""
        return [total[self._end] - total[self._first] for total in totals]

    def worth(self, by_step: Floats, totals: Sequence[Floats]) -> Floats:
        """What hours of the week are worth to a window: the sum of those it touches, at least that of its last."""
        return np.maximum(self.sums(totals)[0] / self._per_hour, by_step[self._steps])

    def said(self, totals: Sequence[Floats], ratio: Callable[[Sequence[Floats], _At], Floats]) -> Floats:
        """What each window says. Nothing where it says clearly less than without its newest part: it is over, and the
        window lags. Only those that say enough to be heard are asked."""
        whole = np.where(self._fits, ratio(self.sums(totals), ...), 0.0)
        loud, when = np.nonzero(np.abs(whole) > self._price)
        if loud.size:
            at = loud, when
            older = np.abs(ratio(self._older_sums(totals, loud, when), at)).max(axis=0)
            whole[at] = np.where(np.abs(whole[at]) > older - _FALL_NATS, whole[at], 0.0)
        return whole

    def _older_sums(self, totals: Sequence[Floats], window: Ints, step: Ints) -> list[Floats]:
        """Without the newest part, by how much is left away."""
        first = self._first[window, step]
        left_away = np.maximum(1, self._lengths[window, 0] // _PARTS)
        end = np.maximum(self._end[window, step] - left_away, first)
        return [total[end] - total[first] for total in totals]

    def best(self, said: Floats, *, values: Sequence[Floats]) -> Scans:
        """The window that speaks most of each step; the shortest of several."""
        return Scans(self._best(-said - self._price, values), self._best(said - self._price, values))

    def _best(self, evidence: Floats, values: Sequence[Floats]) -> Scan:
        best = evidence.argmax(axis=0)[None]
        nats = np.take_along_axis(evidence, best, axis=0)[0]
        speaks = nats > 0
        window = np.where(speaks, self._lengths[best[0], 0], 0)
        numerator, denominator, expected = (
            np.where(speaks, np.take_along_axis(value, best, axis=0)[0], 0.0) for value in values
        )
        return Scan(np.maximum(nats, 0.0), window, numerator, denominator, expected)
