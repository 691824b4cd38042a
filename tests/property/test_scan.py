"""The statistic: its values, what it learns, and that it speaks in time and only then."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.alerts.histories import Traffic, make
from bench.alerts.methods import evidence
from streams.evidence.likelihood import count_evidence, share_evidence
from streams.evidence.reference import HOURS_OF_WEEK, learn_count, learn_share
from streams.evidence.scan import HOUR_WINDOWS, LONGEST_HOURS, scan_count, scan_share

BUSY = Traffic("busy", 6_000, 0.05, 60, 1)
HOURLY = Traffic("hourly", 100, 0.10, 1, 12)


def row_of(value: float) -> np.ndarray:
    return np.array([float(value)])


def binomial(k: float, n: float, p: float) -> float:
    return (k * math.log(p) if k else 0) + ((n - k) * math.log(1 - p) if n - k else 0)


def test_share_evidence_is_the_two_sample_log_likelihood_ratio() -> None:
    k, n, k0, n0 = 3, 100, 100, 1000
    pooled = (k + k0) / (n + n0)
    by_hand = binomial(k, n, k / n) + binomial(k0, n0, k0 / n0) - binomial(k, n, pooled) - binomial(k0, n0, pooled)
    ratio = share_evidence(row_of(k), trials=row_of(n), expected=row_of(k0 / n0), size=row_of(n0))[0]
    assert ratio == pytest.approx(-by_hand)


def test_count_evidence_is_the_likelihood_ratio_of_two_poisson_counts() -> None:
    x, expected, size = 80.0, 50.0, 500.0
    share = expected / (expected + size)
    by_hand = binomial(x, x + size, x / (x + size)) - binomial(x, x + size, share)
    assert count_evidence(row_of(x), expected=row_of(expected), size=row_of(size))[0] == pytest.approx(by_hand)


@pytest.mark.parametrize(("successes", "trials", "size"), [(0, 0, 100), (5, 10, 0)])
def test_nothing_known_is_no_evidence(successes: int, trials: int, size: int) -> None:
    assert share_evidence(row_of(successes), trials=row_of(trials), expected=row_of(0.5), size=row_of(size))[0] == 0


def test_no_evidence_without_anybody_who_went_on() -> None:
    hours = np.arange(HOURS_OF_WEEK)
    assert learn_share(np.zeros(hours.size), np.ones(hours.size), hours=hours) is None
    assert learn_count(np.zeros(3 * HOURS_OF_WEEK), np.tile(hours, 3)) is None


def test_hours_of_the_week_are_learned_and_weeks_that_differ_widen_what_is_normal() -> None:
    hours = np.tile(np.arange(HOURS_OF_WEEK), 12)
    trials = np.full(hours.size, 1_000.0)
    rate = np.where(hours % 24 < 12, 0.1, 0.3)
    steady = learn_share(trials * rate, trials, hours=hours)
    assert steady is not None
    assert steady.rate[0] == pytest.approx(0.1, rel=0.01)
    assert steady.rate[23] == pytest.approx(0.3, rel=0.01)
    drifting = learn_share(trials * rate * np.repeat(np.tile([0.9, 1.1], 6), HOURS_OF_WEEK), trials, hours=hours)
    assert drifting is not None
    assert drifting.drift == pytest.approx(0.1, rel=0.1)
    assert steady.drift < 0.01
    expected, many = row_of(0.2), row_of(1e12)
    one, half, two = (float(drifting.effective(expected, many, weeks=row_of(weeks))[0]) for weeks in (1, 0.5, 2))
    assert one == pytest.approx(0.2 * 0.8 / (drifting.drift * 0.2) ** 2, rel=0.01)
    assert (half, two) == pytest.approx((one, 2 * one)), "two weeks that differ by chance differ less from the rest"


def test_an_outage_of_the_past_does_not_become_what_is_expected() -> None:
    hours = np.tile(np.arange(HOURS_OF_WEEK), 6)
    counts = np.full(hours.size, 50.0)
    counts[2 * HOURS_OF_WEEK : 2 * HOURS_OF_WEEK + 20] = 0
    counts[3 * HOURS_OF_WEEK : 3 * HOURS_OF_WEEK + 20] = 500
    reference = learn_count(counts, hours)
    assert reference is not None
    assert reference.mean == pytest.approx(np.full(HOURS_OF_WEEK, 50.0), rel=0.01)


def test_a_drop_is_found_and_its_like_is_not_found_in_quiet_weeks() -> None:
    rng = np.random.default_rng(11)
    quiet = [evidence(make(HOURLY, rng, steps=2_000), HOURLY, 0.5).max() for _ in range(20)]
    assert max(quiet) < 6
    for drop, within in ((0.5, 24), (1.0, 5)):
        history = make(HOURLY, rng, steps=400, drop=drop, drop_at=300)
        above = evidence(history, HOURLY, drop) >= 6
        assert not above[:300].any()
        assert above[300 : 300 + within].any()


def test_evidence_ends_when_it_is_over_though_long_windows_still_hold_it() -> None:
    rng = np.random.default_rng(12)
    dip = make(HOURLY, rng, steps=600)
    dip.went_on[300:324] *= 0.3
    above = evidence(dip, HOURLY, 0.8) >= 6
    assert above[300:324].any()
    assert not above[324 + 48 :].any()


def test_by_minutes_a_total_break_shows_within_minutes() -> None:
    history = make(BUSY, np.random.default_rng(13), steps=500, drop=1.0, drop_at=400)
    above = evidence(history, BUSY, 1.0) >= 6
    assert not above[:400].any()
    assert int(above[400:].argmax()) < 10


def test_both_directions_have_windows_and_numbers_of_their_own() -> None:
    hours = np.tile(np.arange(HOURS_OF_WEEK), 8)
    counts = np.random.default_rng(14).poisson(100, hours.size).astype(float)
    reference = learn_count(counts, hours)
    assert reference is not None
    watched = np.array([100.0] * 48 + [0.0] * 3 + [100.0] * 24 + [300.0] * 3)
    scans = scan_count(watched, hours[: watched.size], reference=reference, steps_per_hour=1, windows=HOUR_WINDOWS)
    assert scans.down.evidence[50] > 100
    assert scans.down.window[50] == 3
    assert scans.down.numerator[50] == 0
    assert scans.down.evidence[-1] == 0
    assert scans.up.evidence[-1] > 50
    assert scans.up.numerator[-1] == scans.up.window[-1] * 300


def test_each_window_pays_for_how_many_there_are_of_it() -> None:
    hours = np.tile(np.arange(HOURS_OF_WEEK), 4)
    trials = np.full(hours.size, 1e6)
    reference = learn_share(trials * 0.5, trials, hours=hours)
    assert reference is not None
    k, n = row_of(300.0), row_of(1_000.0)
    scans = scan_share(k, n, hours=hours[:1], reference=reference, steps_per_hour=1, windows=(1,))
    size = reference.effective(row_of(0.5), row_of(1e6), weeks=row_of(0))
    ratio = -share_evidence(k / reference.dispersion, trials=n / reference.dispersion, expected=row_of(0.5), size=size)[
        0
    ]
    assert scans.down.evidence[0] == pytest.approx(ratio - math.log(LONGEST_HOURS), rel=1e-3)
