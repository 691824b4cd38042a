"""Real volumes with labels: a city's taxi passengers, whose weeks are much alike and whose hours are not."""

from __future__ import annotations

import numpy as np

from bench.alerts.volumes import Volume, evidence_of_falls, load
from streams.defaults import THRESHOLD_NATS

MARATHON = 0
"""The window of a rise; Thanksgiving, Christmas, New Year's Day and a snow storm are falls."""


def taxi() -> Volume:
    return next(volume for volume in load() if volume.name == "nyc_taxi")


def test_falls_of_an_overdispersed_volume_are_found() -> None:
    volume = taxi()
    is_fall = evidence_of_falls(volume) >= THRESHOLD_NATS
    are_seen = [bool(is_fall[first : last + 1].any()) for first, last in volume.windows]
    assert are_seen[MARATHON + 1 :] == [True] * 4
    outside = np.ones(volume.counts.size, dtype=bool)
    for first, last in volume.windows:
        outside[first : last + 1] = False
    assert is_fall[outside].mean() < 0.03, "hardly ever without a reason"
