"""The sums and balances every counters document must keep. Raises AssertionError that names the place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Family = Any
Cell = dict[str, dict[str, Family]]


def check_balances(definition: dict[str, Any], document: dict[str, Any]) -> None:
    """Every law that holds within one document."""
    counters = document["counters"]
    for grain, label, name, cell in _cells(counters):
        place = f"{grain} {label} {name!r}"
        for stage, families in cell.items():
            _check_outcomes(f"{place} {stage}", families)
        _check_entries(place, definition, cell)
    _check_parts(definition, counters)
    _check_grains(counters)
    _check_views(counters)


def _cells(counters: dict[str, Any]) -> Iterator[tuple[str, str, str, Cell]]:
    for grain, buckets in counters.items():
        for label, cells in buckets.items():
            for name, cell in cells.items():
                yield grain, label, name, cell


def _sum(family: Family) -> int:
    return sum(family.values()) if isinstance(family, dict) else family or 0


def _check_outcomes(place: str, families: dict[str, Family]) -> None:
    outcomes = ("advanced.cohort", "lost.cohort", "abandoned.cohort", "open", "completed")
    entries = families.get("entries", 0)
    assert entries == sum(_sum(families.get(outcome)) for outcome in outcomes), (
        f"{place}: entries != outcomes: {families}"
    )
    onward = _sum(families.get("transitions.cohort"))
    went_on = families.get("advanced.cohort", 0) + families.get("revived.cohort", 0)
    assert onward == went_on, f"{place}: transitions != advanced + revived: {families}"
    assert onward == _sum(families.get("durations")), f"{place}: transitions != durations: {families}"
    assert families.get("stalled", 0) <= families.get("open", 0), f"{place}: stalled > open: {families}"


def _check_entries(place: str, definition: dict[str, Any], cell: Cell) -> None:
    for stage in definition["stages"]:
        name = stage["name"]
        into = sum(families.get("transitions.period", {}).get(name, 0) for families in cell.values())
        own = cell.get(name, {})
        entered = own.get("started", 0) + into
        assert own.get("entries", 0) == entered, f"{place} {name}: entries != started + transitions into: {cell}"


def flat(cell: Cell) -> dict[tuple[str, ...], int]:
    """(stage, family, sub-key) -> amount."""
    flattened: dict[tuple[str, ...], int] = {}
    for stage, families in cell.items():
        for family, value in families.items():
            if isinstance(value, dict):
                flattened |= {(stage, family, sub): amount for sub, amount in value.items()}
            else:
                flattened[stage, family, ""] = value
    return flattened


def _added(cells: Iterator[Cell]) -> dict[tuple[str, ...], int]:
    added: dict[tuple[str, ...], int] = {}
    for cell in cells:
        for key, amount in flat(cell).items():
            added[key] = added.get(key, 0) + amount
    return {key: amount for key, amount in added.items() if amount}


def _check_parts(definition: dict[str, Any], counters: dict[str, Any]) -> None:
    sets = [[dimension["name"]] for dimension in definition.get("dimensions", [])] + definition.get("pairs", [])
    for grain in ("total", "hour", "day"):
        for label, cells in counters.get(grain, {}).items():
            for names in sets:
                parts = (
                    cell for key, cell in cells.items() if key and [kv.split("=")[0] for kv in key.split("|")] == names
                )
                assert _added(parts) == flat(cells.get("", {})), f"{grain} {label}: parts by {names} != whole"


def _check_grains(counters: dict[str, Any]) -> None:
    total = counters.get("total", {}).get("all", {})
    days: dict[str, list[Cell]] = {}
    for cells in counters.get("day", {}).values():
        for name, cell in cells.items():
            days.setdefault(name, []).append(cell)
    for name, cell in total.items():
        assert _added(iter(days.get(name, []))) == flat(cell), f"{name!r}: days != total"


def _check_views(counters: dict[str, Any]) -> None:
    for name, cell in counters.get("total", {}).get("all", {}).items():
        for stage, families in cell.items():
            for family in ("advanced", "abandoned", "revived", "lost"):
                cohort, period = families.get(f"{family}.cohort"), families.get(f"{family}.period")
                assert cohort == period, f"total {name!r} {stage}: {family} differs between the views"
        if name == "":
            for stage, families in cell.items():
                cohort, period = families.get("transitions.cohort"), families.get("transitions.period")
                assert cohort == period, f"total {stage}: transitions differ between the views"
