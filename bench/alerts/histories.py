"""Simulated histories of one stage: entries and how many of them went on, by step, with a drop planted or not.

Twelve weeks to learn from, then the weeks that are watched. Persons are independent; weeks may differ (`drift`), hours
of the day too (`season`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WEEK_HOURS = 168
LEARNED_WEEKS = 12


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a series looks like."""

    name: str
    per_hour: float
    rate: float
    steps_per_hour: int
    quiet_weeks: float
    """In so much time one series in ten may raise a false alarm: this sets every method's threshold."""
    drift: float = 0.0
    """Relative standard deviation of the share between weeks."""
    season: float = 0.0
    """Amplitude of the hour of the day, of volume (0 to 1) and, a third of it, of the share."""

    @property
    def quiet_steps(self) -> int:
        """Length of a history without a drop."""
        return int(self.quiet_weeks * WEEK_HOURS * self.steps_per_hour)


@dataclass(frozen=True, slots=True)
class History:
    """One series. The hourly arrays are the weeks to learn from; the others are watched, by step."""

    past_entries: Floats
    past_went_on: Floats
    entries: Floats
    went_on: Floats
    first_hour: int
    """Hour of the week of the first step watched."""


def make(traffic: Traffic, rng: np.random.Generator, *, steps: int, drop: float = 0.0, drop_at: int = 0) -> History:
    """A history whose share falls by `drop` (relative) from step `drop_at` on."""
    past = np.arange(LEARNED_WEEKS * WEEK_HOURS)
    entries, rates = _plan(traffic, rng, hours=past, parts=1)
    past_entries = rng.poisson(entries).astype(np.float64)
    past_went_on = rng.binomial(past_entries.astype(np.int64), rates).astype(np.float64)
    hours = past.size + np.arange(steps) // traffic.steps_per_hour
    entries, rates = _plan(traffic, rng, hours=hours, parts=traffic.steps_per_hour)
    rates = np.where(np.arange(steps) >= drop_at, rates * (1 - drop), rates)
    watched = rng.poisson(entries).astype(np.float64)
    went_on = rng.binomial(watched.astype(np.int64), rates).astype(np.float64)
    return History(past_entries, past_went_on, watched, went_on, 0)


def _plan(traffic: Traffic, rng: np.random.Generator, *, hours: NDArray[np.int64], parts: int) -> tuple[Floats, Floats]:
    """Expected entries and shares by step."""
    wave = np.sin(2 * np.pi * (hours % 24) / 24)
    weeks = hours // WEEK_HOURS
    levels = np.clip(rng.normal(1.0, traffic.drift, int(weeks.max()) + 1), 0.1, None)
    volume = traffic.per_hour / parts * (1 + traffic.season * wave)
    share = traffic.rate * (1 + traffic.season / 3 * wave) * levels[weeks]
    return volume, np.clip(share, 0.0, 1.0)
