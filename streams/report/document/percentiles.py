"""Percentiles of a histogram as exactly as its buckets know them: the bounds between which one lies. Pure.

The p-th percentile is the nearest-rank one: of n ordered durations that of the rank ceil(p n), so it is always one that
was measured. A histogram knows its bucket, which is above the lower edge and at most the upper one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import TypedDict

from schemas.counters import DURATION_EDGES_SECONDS

_EDGES: Mapping[str, tuple[int, int | None]] = {
    **{str(high): (low, high) for low, high in pairwise((-1, *DURATION_EDGES_SECONDS))},
    "inf": (DURATION_EDGES_SECONDS[-1], None),
}
"""(lower edge, upper edge) by the name of a bucket; below the first one is nothing."""


class Bounds(TypedDict):
    """In seconds: more than `above`, at most `at_most`."""

    above: int | None
    """None: there is no shorter bucket."""
    at_most: int | None
    """None: longer than the last edge."""


class Durations(TypedDict):
    """How long something took."""

    count: int
    mean_seconds: float
    p50: Bounds
    p90: Bounds


def durations_of(by_edge: Mapping[str, int], seconds: int) -> Durations | None:
    """Of a histogram by upper edge (`60`, `inf`), and the sum of its seconds; None where nothing was measured."""
    count = sum(by_edge.values())
    if count <= 0:
        return None
    return {
        "count": count,
        "mean_seconds": seconds / count,
        "p50": percentile(by_edge, Fraction(1, 2)),
        "p90": percentile(by_edge, Fraction(9, 10)),
    }


def percentile(by_edge: Mapping[str, int], share: Fraction) -> Bounds:
    """The bounds of a percentile of a histogram that is not empty."""
    rank, below = math.ceil(share * sum(by_edge.values())), 0
    for name, (low, high) in _EDGES.items():
        below += by_edge.get(name, 0)
        if below >= rank:
            return {"above": None if low < 0 else low, "at_most": high}
    raise ValueError("a histogram with an edge that does not exist")
