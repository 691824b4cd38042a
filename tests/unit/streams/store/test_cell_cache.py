"""The cell cache: whatever is forgotten in between, what it writes is the sum of all changes."""

from __future__ import annotations

import random

import pytest

from schemas.counters import Cell, CellGroup, Cells
from streams.store.cells import CellCache
from tests.support.rows import rows

TOTAL: CellGroup = (0, 0, 0)


def _stored(store: Cells, wanted: dict[CellGroup, list[int]]) -> Cells:
    return {
        group: {name: dict(store[group][name]) for name in fields if name in store.get(group, {})}
        for group, fields in wanted.items()
    }


def _write(store: Cells, cells: Cells) -> None:
    for group, fields in cells.items():
        for name, cell in fields.items():
            if cell:
                store.setdefault(group, {})[name] = dict(cell)
            else:
                store.get(group, {}).pop(name, None)


def test_a_cell_is_asked_for_once() -> None:
    cache = CellCache()
    deltas: Cells = {TOTAL: {1: {1: 1}, 2: {1: 1}}}
    assert cache.missing(deltas) == {TOTAL: [1, 2]}
    cache.admit({TOTAL: [1, 2]}, {TOTAL: {2: {1: 40}}})
    assert cache.missing(deltas) == {}
    assert cache.merge(deltas) == {TOTAL: {1: {1: 1}, 2: {1: 41}}}
    assert cache.merge(deltas) == {TOTAL: {1: {1: 2}, 2: {1: 42}}}
    assert cache.missing({TOTAL: {1: {1: 1}, 3: {1: 1}}, (1, 1, 1): {1: {1: 1}}}) == {TOTAL: [3], (1, 1, 1): [1]}


def test_zeros_leave_and_an_empty_cell_is_written_empty() -> None:
    cache = CellCache()
    cache.admit({TOTAL: [1]}, {TOTAL: {1: {1: 5, 2: 7}}})
    assert cache.merge({TOTAL: {1: {1: -5, 3: 0}}}) == {TOTAL: {1: {2: 7}}}
    assert cache.merge({TOTAL: {1: {2: -7}}}) == {TOTAL: {1: {}}}
    assert cache.merge({TOTAL: {1: {2: 1}}}) == {TOTAL: {1: {2: 1}}}


def test_a_write_under_way_keeps_its_values() -> None:
    cache = CellCache()
    cache.admit({TOTAL: [1]}, {})
    first = cache.merge({TOTAL: {1: {1: 1}}})
    cache.merge({TOTAL: {1: {1: 1}}})
    assert first == {TOTAL: {1: {1: 1}}}


def test_an_unknown_cell_is_never_guessed() -> None:
    with pytest.raises(KeyError):
        CellCache().merge({TOTAL: {1: {1: 1}}})


def test_forgetting() -> None:
    cache = CellCache()
    cache.admit({TOTAL: [1], (1, 1, 0): [1]}, {})
    cache.forget([(1, 1, 0), (9, 9, 9)])
    assert len(cache) == 1
    assert cache.missing({(1, 1, 0): {1: {1: 1}}}) == {(1, 1, 0): [1]}


@rows("max_cells", [1, 7, 40, 10_000])
def test_any_size_counts_right_and_stays_bounded(max_cells: int) -> None:
    rng = random.Random(max_cells)
    cache = CellCache(max_cells)
    store: Cells = {}
    truth: dict[tuple[CellGroup, int], Cell] = {}
    for _ in range(300):
        deltas: Cells = {}
        for _ in range(rng.randrange(12)):
            group, name = (1, rng.randrange(6), rng.randrange(2)), rng.randrange(5)
            deltas.setdefault(group, {})[name] = {rng.randrange(3): rng.randrange(-2, 3) for _ in range(2)}
        for group, fields in deltas.items():
            for name, change in fields.items():
                cell = truth.setdefault((group, name), {})
                for code, amount in change.items():
                    cell[code] = cell.get(code, 0) + amount
        wanted = cache.missing(deltas)
        cache.admit(wanted, _stored(store, wanted))
        _write(store, cache.merge(deltas))
        assert len(cache) <= max_cells + 1 + 12
    assert {(group, name): cell for group, fields in store.items() for name, cell in fields.items()} == {
        address: left for address, cell in truth.items() if (left := {code: n for code, n in cell.items() if n})
    }


def test_a_cache_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        CellCache(0)
