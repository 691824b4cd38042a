"""Cells add up in one place; days and values are what they are everywhere."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from schemas.counters import (
    OTHER,
    UNKNOWN,
    Cells,
    add,
    add_amount,
    add_fields,
    merge,
    merge_changes,
    plus,
    without_zeros,
)
from schemas.names import clean_text, clean_value
from schemas.times import DAY_MS, date_of, local_day
from tests.support.rows import rows

TOTAL, MINUTE = (0, 0, 0), (1, 5, 0)
cells = st.dictionaries(st.integers(0, 4), st.integers(-3, 3), max_size=4)
groups = st.dictionaries(st.sampled_from([TOTAL, MINUTE]), st.dictionaries(st.integers(0, 3), cells, max_size=3))


def stored(unstored: Cells) -> Cells:
    """As the store holds them: no zeros, nothing empty."""
    return {group: filled for group, fields in unstored.items() if (filled := without_zeros(fields))}


@given(groups, groups)
def test_with_and_without_zeros_the_sums_are_the_same(some: Cells, more: Cells) -> None:
    summed, absolute, before = deepcopy(some), stored(some), deepcopy(more)
    merge(summed, more)
    merge_changes(absolute, more)
    assert stored(summed) == absolute
    assert more == before


@given(groups)
def test_what_is_added_is_copied(some: Cells) -> None:
    total: Cells = {}
    merge(total, some)
    before = deepcopy(some)
    merge(total, some)
    assert some == before


def test_a_cell_of_nothing_leaves_a_sum_without_zeros() -> None:
    assert plus({1: 2, 2: 1}, {1: -2, 3: 4}) == {2: 1, 3: 4}
    absolute: Cells = {TOTAL: {7: {1: 2}}}
    merge_changes(absolute, {TOTAL: {7: {1: -2}}})
    assert absolute == {}


def test_amounts_and_cells_are_added_in_place() -> None:
    fields = {7: {1: 2}}
    add_amount(fields, 7, 1, -2)
    add_amount(fields, 8, 3, 1)
    add(fields[7], {2: 5})
    add_fields(fields, {9: {1: 1}})
    assert fields == {7: {1: 0, 2: 5}, 8: {3: 1}, 9: {1: 1}}
    assert without_zeros(fields) == {7: {2: 5}, 8: {3: 1}, 9: {1: 1}}


@rows(("zone", "day"), [("UTC", 20_088), ("Pacific/Auckland", 20_089), ("America/Lima", 20_088)])
def test_a_day_is_the_local_date(zone: str, day: int) -> None:
    noon = datetime(2024, 12, 31, 12, tzinfo=UTC).timestamp()
    assert local_day(noon, ZoneInfo(zone)) == day
    assert date_of(20_088) == date(2024, 12, 31)
    assert noon * 1000 // DAY_MS == 20_088


@rows(
    ("value", "cleaned"),
    [(" Google ", "google"), ("x" * 70, "x" * 64), (True, "true"), (2.5, "2.5"), ("  ", "unknown"), (None, "unknown")],
)
def test_a_value_is_cleaned_alike_everywhere(value: object, cleaned: str) -> None:
    assert clean_value(value) == cleaned
    assert not isinstance(value, str) or clean_text(value) == (cleaned if value.strip() else "")


def test_a_value_called_as_a_reserved_word_has_a_name_of_its_own() -> None:
    texts = [
        quotes * count + word + quotes * more
        for word in ("Other", "unknown", "others")
        for count in range(3)
        for more in range(3)
        for quotes in "\"'"
    ]
    names = {clean_value(text) for text in texts}
    assert len(names) == len({text.lower() for text in texts})
    assert names.isdisjoint({OTHER, UNKNOWN})
    assert clean_value("OTHER") == '"other"'
