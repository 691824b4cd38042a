"""A sum that is not known yet, as a gamma distribution of its mean and variance. Pure.

Sums of counts and of amounts of money are at least 0 and lean to the right, as the gamma distribution does: it stands
for the negative binomial of counts that vary more than Poisson's, and for the compound sums of money (McCullagh and
Nelder, Generalized Linear Models, 1989, ch. 6 and 8). Its quantiles are those of E. B. Wilson and M. M. Hilferty
(Proceedings of the National Academy of Sciences 17, 1931): the cube root of a gamma variable is nearly normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()
LOW, HIGH = 0.025, 0.975
"""A 95 % interval."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a sum may come to."""

    mean: float
    variance: float

    def __add__(self, other: Outlook) -> Outlook:
        """The sum of two that know nothing of each other."""
        return Outlook(self.mean + other.mean, self.variance + other.variance)

    @property
    def is_certain(self) -> bool:
        """Whether there is nothing to be uncertain of."""
        return self.mean <= 0 or self.variance <= 0

    def quantile(self, share: float) -> float:
        """It comes to no more than this with the probability `share`."""
        if self.is_certain:
            return max(0.0, self.mean)
        ninth = self.variance / (9 * self.mean * self.mean)
        root = 1 - ninth + _NORMAL.inv_cdf(share) * math.sqrt(ninth)
        return self.mean * max(0.0, root) ** 3

    def at_least(self, amount: float) -> float:
        """The probability that it comes to at least this."""
        if amount <= 0:
            return 1.0
        if self.is_certain:
            return 1.0 if self.mean >= amount else 0.0
        ninth = self.variance / (9 * self.mean * self.mean)
        return _NORMAL.cdf((1 - ninth - (amount / self.mean) ** (1 / 3)) / math.sqrt(ninth))

    def interval(self) -> tuple[float, float]:
        """95 %: 2.5 % lie below and above each."""
        return self.quantile(LOW), self.quantile(HIGH)
