"""Two working trees beside each other: both count the same events, and a tree that cannot is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.beside import EVENTS_PER_TURN, HERE, beside


def test_a_tree_beside_itself_costs_about_the_same() -> None:
    before, now, ratio = beside(HERE, events=2 * EVENTS_PER_TURN, people=100, chunk=1_000, funnel="sales")
    assert min(before, now) > 0
    assert ratio == pytest.approx(now / before)  # one turn counts


def test_a_tree_that_cannot_count_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=tmp_path.name):
        beside(tmp_path, events=2 * EVENTS_PER_TURN, people=100, chunk=1_000, funnel="sales")


def test_too_few_events_are_said() -> None:
    with pytest.raises(ValueError, match="too few"):
        beside(HERE, events=10, people=100, chunk=1_000, funnel="sales")
