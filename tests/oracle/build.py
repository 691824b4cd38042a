"""Short hands for tests: a funnel, an event, the cell of a document."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

from tests.oracle.counting import count

T0 = 1_735_725_600_000
"""2025-01-01T10:00Z."""
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


def funnel(stages: list[Any], **more: Any) -> dict[str, Any]:
    """A definition; a stage may be a name alone (its event has the same name)."""
    return {
        "name": "f",
        "version": 1,
        "currency": "EUR",
        "conversion_window": "1d",
        "allowed_lateness": "1d",
        "stages": [{"name": one, "on": [one]} if isinstance(one, str) else one for one in stages],
        **more,
    }


def event(name: str, at: int = 0, who: str = "p", **more: Any) -> dict[str, Any]:
    """A native event `at` ms after T0; what is not `received` (ms after T0), `id` or `source` is a property."""
    received = more.pop("received", at)
    return {
        "id": more.pop("id", f"{name}-{at}"),
        "name": name,
        "occurred_at_ms": T0 + at,
        "received_at_ms": T0 + received,
        "user_id": who,
        "source": more.pop("source", "web"),
        "properties": more,
    }


def tick(at: int) -> dict[str, Any]:
    """A tick `at` ms after T0."""
    return {"tick": T0 + at}


def counted(definition: dict[str, Any], log: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """The document; no watermark delay unless told. Several tests ask for the same one: it is counted once."""
    document = _counted(json.dumps(definition), json.dumps(log), **{"watermark_delay_ms": 0, **options})
    return copy.deepcopy(document)


@cache
def _counted(definition: str, log: str, **options: Any) -> dict[str, Any]:
    return count(json.loads(definition), json.loads(log), **options)


def total(document: dict[str, Any], cell: str = "") -> dict[str, Any]:
    """The totals of a cell: {stage: {family: ...}}."""
    stages: dict[str, Any] = document["counters"].get("total", {}).get("all", {}).get(cell, {})
    return stages
