"""Expired groups: each is given out once, and not too many at a time."""

from __future__ import annotations

from schemas.counters import Cells, Grain
from streams.core.expiry import Expiry

HOUR_MS = 3_600_000


def _noted(minutes: range, hours: range) -> Expiry:
    cells: Cells = {(Grain.MINUTE, at, 0): {0: {1: 1}} for at in minutes}
    cells |= {(Grain.HOUR, at, 0): {0: {1: 1}} for at in hours}
    expiry = Expiry()
    assert expiry.note(cells)
    return expiry


def test_a_bucket_expires_when_its_end_is_its_keep_time_behind() -> None:
    expiry = _noted(range(100, 102), range(0))
    kept_until = 101 * 60_000 + 48 * HOUR_MS
    assert expiry.expired(kept_until - 1, 1) == []
    assert expiry.expired(kept_until, 1) == [(Grain.MINUTE, 100, 0)]
    assert expiry.expired(kept_until, 1) == []


def test_a_jump_is_given_out_in_parts() -> None:
    expiry = _noted(range(1_000, 3_500), range(100, 200))
    far = 10_000 * 24 * HOUR_MS
    groups = []
    while part := expiry.expired(far, 30):
        assert len(part) <= 2_030
        groups += part
    assert len(groups) == len(set(groups)) == 2_500 + 100 * 30


def test_the_range_survives_storing() -> None:
    expiry, again = _noted(range(5, 9), range(0)), Expiry()
    again.restore(expiry.core_state())
    assert again.expired(10**12, 1) == expiry.expired(10**12, 1) != []
