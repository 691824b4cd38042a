"""Sums of stored cells: what has not changed is added up once, what has changed is added up again."""

from __future__ import annotations

from random import Random

from schemas.counters import Cell, Cells, Grain, SettledFields
from streams.report.document.sums import merged, over_all_buckets


def settled(cells: Cells) -> Cells:
    return {
        group: SettledFields((field, dict(cell)) for field, cell in fields.items()) for group, fields in cells.items()
    }


def added(several: list[Cells]) -> dict[int, dict[int, Cell]]:
    """By hand: dimension set -> field -> amounts."""
    whole: dict[int, dict[int, Cell]] = {}
    for cells in several:
        for (_, _, dimset), fields in cells.items():
            for field, cell in fields.items():
                for code, amount in cell.items():
                    into = whole.setdefault(dimset, {}).setdefault(field, {})
                    into[code] = into.get(code, 0) + amount
    return whole


def some_cells(rng: Random) -> Cells:
    return {
        (Grain.DAY, day, dimset): {rng.randrange(4): {rng.randrange(3): rng.randint(1, 9)}}
        for day in range(20_000, 20_030)
        for dimset in (0, 1)
        if rng.random() < 0.8
    }


def test_sums_are_those_of_their_parts_whatever_changes_between_two_questions() -> None:
    rng = Random(3)
    partitions = [settled(some_cells(rng)) for _ in range(3)]
    for _ in range(30):
        sums = over_all_buckets(merged(partitions))
        assert {dimset: fields for (_, _, dimset), fields in sums.items()} == added(partitions)
        assert over_all_buckets(merged(partitions))[Grain.TOTAL, 0, 0] is sums[Grain.TOTAL, 0, 0]
        changed = rng.choice(partitions)
        group = rng.choice(sorted(changed))
        changed[group] = SettledFields([(1, {1: rng.randint(1, 9)})])


def test_cells_that_may_change_are_added_up_every_time() -> None:
    group = (int(Grain.DAY), 20_000, 0)
    partitions: list[Cells] = [{group: {1: {1: 1}}}, {group: {1: {1: 2}}}]
    assert merged(partitions) == {group: {1: {1: 3}}}
    partitions[0][group][1][1] = 5
    assert merged(partitions) == {group: {1: {1: 7}}}
