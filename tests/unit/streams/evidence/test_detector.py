"""What varies as one event would: of revenue, about what one order brings."""

from __future__ import annotations

import numpy as np
import pytest

from streams.evidence.detector import _unit


@pytest.mark.parametrize("weeks", [2, 12])
def test_few_weeks_do_not_make_revenue_look_steadier_than_it_is(weeks: int) -> None:
    rng, hours = np.random.default_rng(1), np.arange(weeks * 168) % 168
    revenue = (4_000.0 * rng.poisson(6, size=hours.size)).astype(np.float64)
    assert _unit(revenue, hours) == pytest.approx(4_000, rel=0.15)
