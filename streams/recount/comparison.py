"""What another version of a funnel counts differently: two counters documents side by side, by stage. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from streams.report.document.shapes import CountersDocument, NamedCell

_SHOWN = ("entries", "completed", "orders", "revenue")
_INPUT = ("accepted", "late", "persons")


class Pair(TypedDict):
    """A number before and now."""

    before: int
    now: int


class StageCompared(TypedDict):
    """One stage of either version."""

    stage: str
    before: bool
    """Whether the version before has it."""
    now: bool
    numbers: dict[str, Pair]
    """Entries, completed, orders, revenue (of all currencies, minor units); those that are 0 in both are left out."""


class VersionsCompared(TypedDict):
    """The answer."""

    before: str | None
    now: str
    input: dict[str, Pair]
    stages: list[StageCompared]
    is_equal: bool
    """Whether every counter is the same."""


def compare_versions(before: CountersDocument | None, now: CountersDocument) -> VersionsCompared:
    """Of the whole of both documents. `before`: None where nothing was counted."""
    old, new = ({} if before is None else _whole(before)), _whole(now)
    stages = list(dict.fromkeys([*new, *old]))
    return {
        "before": None if before is None else f"{before['funnel']}@{before['version']}",
        "now": f"{now['funnel']}@{now['version']}",
        "input": {
            name: {"before": 0 if before is None else _input(before, name), "now": _input(now, name)} for name in _INPUT
        },
        "stages": [
            {"stage": stage, "before": stage in old, "now": stage in new, "numbers": _numbers(old, new, stage=stage)}
            for stage in stages
        ],
        "is_equal": before is not None and before["counters"] == now["counters"],
    }


def _whole(document: CountersDocument) -> NamedCell:
    whole: NamedCell = document["counters"].get("total", {}).get("all", {}).get("", {})
    return whole


def _input(document: CountersDocument, name: str) -> int:
    counts: Mapping[str, Any] = document["input"]
    return int(counts.get(name, 0))


def _numbers(old: NamedCell, new: NamedCell, *, stage: str) -> dict[str, Pair]:
    pairs: dict[str, Pair] = {}
    for family in _SHOWN:
        pair: Pair = {"before": _sum(old, stage=stage, family=family), "now": _sum(new, stage=stage, family=family)}
        if any(pair.values()):
            pairs[family] = pair
    return pairs


def _sum(cell: NamedCell, *, stage: str, family: str) -> int:
    amount = cell.get(stage, {}).get(family, 0)
    return amount if isinstance(amount, int) else sum(amount.values())
