"""How much of the change of a rate is mix and how much is rate, by the values of a dimension. Exact and pure.

A rate R is the sum over the values v of s_v * r_v: s_v is the share that v has of the denominator, r_v its own rate.
With means of before and after (E. M. Kitagawa, Journal of the American Statistical Association 50, 1955)

    R' - R  =  sum of  (s'_v - s_v) * (mean r_v - mean R)   mix: who came
             + sum of  mean s_v * (r'_v - r_v)              rate: how they converted

exactly. To take the mean of R from the mean of r_v changes no sum, because the shares always sum to 1, and lets a value
that grows count for what it is: better or worse than the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

Counts = tuple[int, int]
"""(numerator, denominator) of one value."""
_NOTHING: Counts = (0, 0)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one value has contributed to the change."""

    mix: Fraction
    rate: Fraction
    neither: Fraction
    """Of a value with a numerator and no denominator (they began before the period): it has no rate of its own."""

    @property
    def total(self) -> Fraction:
        """All of it."""
        return self.mix + self.rate + self.neither


def decompose(before: Mapping[str, Counts], after: Mapping[str, Counts]) -> dict[str, Contribution]:
    """By value, without those that had nothing in either. The totals sum to the change of the whole rate. Empty where
    one of the two has no denominator."""
    all_before, all_after = (sum(denominator for _, denominator in counts.values()) for counts in (before, after))
    if all_before <= 0 or all_after <= 0:
        return {}
    middle = (_whole(before, all_before) + _whole(after, all_after)) / 2
    return {
        value: _contribution(
            before.get(value, _NOTHING), after.get(value, _NOTHING), whole=(all_before, all_after), middle=middle
        )
        for value in sorted(before.keys() | after.keys())
        if any(before.get(value, _NOTHING)) or any(after.get(value, _NOTHING))
    }


def _whole(counts: Mapping[str, Counts], denominator: int) -> Fraction:
    return Fraction(sum(numerator for numerator, _ in counts.values()), denominator)


def _contribution(before: Counts, after: Counts, *, whole: tuple[int, int], middle: Fraction) -> Contribution:
    shares = Fraction(before[1], whole[0]), Fraction(after[1], whole[1])
    moved = shares[1] - shares[0]
    if any(numerator and not denominator for numerator, denominator in (before, after)):
        change = Fraction(after[0], whole[1]) - Fraction(before[0], whole[0])
        return Contribution(Fraction(0), Fraction(0), change - moved * middle)
    first = Fraction(*before) if before[1] else None
    second = Fraction(*after) if after[1] else None
    # a value that was there only once had no other rate to change: all of it is mix
    rate_before = first if first is not None else second or Fraction(0)
    rate_after = second if second is not None else rate_before
    return Contribution(
        mix=moved * ((rate_before + rate_after) / 2 - middle),
        rate=(shares[0] + shares[1]) / 2 * (rate_after - rate_before),
        neither=Fraction(0),
    )
