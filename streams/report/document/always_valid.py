"""Two shares compared while one of them is still growing: a test that may be looked at every day. Pure.

Of a fixed sample before and a growing one after, the difference d of the shares is nearly normal with the variance
V = p (1 - p) / n + q (1 - q) / m, and over time it moves as a Brownian motion does in the information 1 / V. So the
mixture likelihood ratio against a difference of 0, with differences that are normal with mean 0 and variance t^2,

    L  =  sqrt(V / (V + t^2)) exp(t^2 d^2 / (2 V (V + t^2)))

is a martingale where there is none (H. Robbins, Annals of Mathematical Statistics 41, 1970), and by Ville's inequality
it ever reaches 1 / a with a probability of at most a: whenever somebody looks and stops, p = 1 / L is a valid p-value,
and those differences that it does not refute are a valid interval (R. Johari, P. Koomen, L. Pekelis and D. Walsh,
Always Valid Inference, Operations Research 70, 2022). t is what a change usually does: a tenth of the share before,
which is known before anything is compared.
"""

from __future__ import annotations

import math

from streams.report.document.shapes import Rate
from streams.report.document.significance import ALPHA

USUAL_CHANGE = 0.1
"""Of the share before."""
LEAST_TRIALS, LEAST_EACH = 30, 5
"""With fewer trials, or fewer successes or failures, a share is not nearly normal: no verdict."""


def always_valid(before: Rate | None, after: Rate | None) -> tuple[float, list[float]] | None:
    """(p-value, 95 % interval of after minus before); None where there is too little to say anything."""
    if before is None or after is None or not (_is_enough(before) and _is_enough(after)):
        return None
    variance = _variance(before) + _variance(after)
    usual = (USUAL_CHANGE * before["rate"]) ** 2
    difference = after["rate"] - before["rate"]
    log_ratio = _log(variance, usual) + usual * difference**2 / (2 * variance * (variance + usual))
    reach = math.sqrt(variance * (variance + usual) / usual * 2 * (-math.log(ALPHA) - _log(variance, usual)))
    return min(1.0, math.exp(-log_ratio)), [difference - reach, difference + reach]


def _log(variance: float, usual: float) -> float:
    return math.log(variance / (variance + usual)) / 2


def _is_enough(rate: Rate) -> bool:
    successes, trials = rate["numerator"], rate["denominator"]
    return trials >= LEAST_TRIALS and LEAST_EACH <= successes <= trials - LEAST_EACH


def _variance(rate: Rate) -> float:
    """Of a share, a little drawn to the middle, so that it is not too small by chance (A. Agresti and B. A. Coull, The
    American Statistician 52, 1998)."""
    share = (rate["numerator"] + 2) / (rate["denominator"] + 4)
    return share * (1 - share) / rate["denominator"]
