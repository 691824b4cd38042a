"""The guard: what has become more than a quarter dearer fails, and is named."""

from __future__ import annotations

from bench.guard import compared


def test_what_is_a_quarter_dearer_fails_and_is_named() -> None:
    text, is_good = compared({"a": 12.4, "b": 12.6}, {"a": 10.0, "b": 10.0})
    assert not is_good
    assert [line.endswith("too dear") for line in text.splitlines()] == [False, False, True]


def test_what_is_cheaper_or_has_no_baseline_passes() -> None:
    text, is_good = compared({"a": 5.0, "new": 99.0}, {"a": 10.0, "gone": 1.0})
    assert is_good
    assert "-50%" in text
