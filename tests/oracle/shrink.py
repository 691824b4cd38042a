"""The smallest case that still fails: fewer records, a simpler funnel, fewer properties. Plain delta debugging."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.oracle.generate import Case, Log

MAX_TRIES = 3000


class _Budget:
    def __init__(self, fails: Callable[[Case], bool]) -> None:
        self._fails, self.left = fails, MAX_TRIES

    def fails(self, case: Case) -> bool:
        """Whether the case fails; an error inside the check of a mangled case is not the failure looked for."""
        if self.left <= 0:
            return False
        self.left -= 1
        return self._fails(case)


def smallest(case: Case, fails: Callable[[Case], bool]) -> Case:
    """A case for which `fails` holds and from which nothing simple can be taken away."""
    budget = _Budget(fails)
    before = None
    while before != case and budget.left > 0:
        before = copy.deepcopy(case)
        case = _fewer_records(case, budget)
        for simpler in _simplifications(case):
            if budget.fails(simpler):
                case = simpler
                break
    return case


def _fewer_records(case: Case, budget: _Budget) -> Case:
    size = max(1, len(case.log) // 2)
    while size >= 1:
        at = 0
        while at < len(case.log):
            log: Log = case.log[:at] + case.log[at + size :]
            shorter = replace(case, log=log)
            if log and budget.fails(shorter):
                case = shorter
            else:
                at += size
        size //= 2
    return case


def _simplifications(case: Case) -> Iterator[Case]:
    if case.partitions > 1:
        yield replace(case, partitions=1)
    for funnel in _simpler_funnels(case.funnel):
        yield replace(case, funnel=funnel)
    for at, event in enumerate(case.log):
        for simpler in _simpler_events(event):
            yield replace(case, log=[*case.log[:at], simpler, *case.log[at + 1 :]])


def _without(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}


def _simpler_funnels(funnel: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("pairs", "lost", "sources", "traffic", "reentry", "timezone"):
        if key in funnel:
            yield _without(funnel, key)
    if "pairs" not in funnel and funnel.get("dimensions"):
        yield _without(funnel, "dimensions")
        for at in range(len(funnel["dimensions"])):
            yield {**funnel, "dimensions": funnel["dimensions"][:at] + funnel["dimensions"][at + 1 :]}
    for at in range(len(funnel.get("lost", []))):
        yield {**funnel, "lost": funnel["lost"][:at] + funnel["lost"][at + 1 :]}
    stages = funnel["stages"]
    for at, stage in enumerate(stages):
        if len(stages) > 2:
            others = stages[:at] + stages[at + 1 :]
            yield {**funnel, "stages": [*others[:-1], _without(others[-1], "abandon_after")]}
        for key in ("abandon_after", "stalled_after", "order", "nth"):
            if key in stage:
                yield {**funnel, "stages": [*stages[:at], _without(stage, key), *stages[at + 1 :]]}
        if len(stage["on"]) > 1:
            yield {**funnel, "stages": [*stages[:at], {**stage, "on": stage["on"][:1]}, *stages[at + 1 :]]}


def _simpler_events(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "tick" in event or "forget" in event:
        return
    for key in event["properties"]:
        yield {**event, "properties": _without(event["properties"], key)}
    ids = [key for key in ("user_id", "contact_id", "anonymous_id") if event.get(key) is not None]
    if len(ids) > 1:
        for key in ids:
            yield {**event, key: None}
    if event["source"] != "web":
        yield {**event, "source": "web"}
