"""How much a recent count speaks against what was expected: two-sample log-likelihood ratios, in nats. Pure.

Positive: more than expected; negative: less. The reference is a sample too, of a stated size, so that an uncertain
expectation gives little evidence. The statistic is the generalised likelihood ratio of two binomials, or of two Poisson
counts given their sum (S. S. Wilks, 1938; for charts of shares Huang, Reynolds & Wang, 2012).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


def share_evidence(successes: Floats, *, trials: Floats, expected: Floats, size: Floats) -> Floats:
    """Evidence that `successes` of `trials` have another share than `expected`, known from `size` trials.

    All of one shape; `expected` is a share. 0 where there are no trials or no reference.
    """
    known = expected * size
    separate = _log_likelihood(successes, trials) + _log_likelihood(known, size)
    together = _log_likelihood(successes + known, trials + size)
    ratio = np.maximum(separate - together, 0.0)
    return _signed(ratio, successes - expected * trials, is_known=(trials > 0) & (size > 0))


def count_evidence(counts: Floats, *, expected: Floats, size: Floats) -> Floats:
    """Evidence that `counts` come from another mean than `expected`, known as well as from a count of `size`."""
    total = counts + size
    share = expected / np.maximum(expected + size, _TINY)
    ratio = _plog(counts, share * total) + _plog(size, (1 - share) * total)
    return _signed(np.maximum(ratio, 0.0), counts - expected, is_known=(expected > 0) & (size > 0))


_TINY = 1e-300


def _plog(count: Floats, mean: Floats) -> Floats:
    """count * log(count / mean), 0 where the count is."""
    return np.where(count > 0, count * np.log(np.maximum(count, _TINY) / np.maximum(mean, _TINY)), 0.0)


def _log_likelihood(successes: Floats, trials: Floats) -> Floats:
    """Of a binomial at its own best share, without the constant."""
    return _plog(successes, trials) + _plog(trials - successes, trials)


def _signed(ratio: Floats, difference: Floats, *, is_known: NDArray[np.bool_]) -> Floats:
    return np.where(is_known, np.where(difference < 0, -ratio, ratio), 0.0)
