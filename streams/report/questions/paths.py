"""How journeys go: how long each transition takes, first contact to money, and what a stage changes. Pure.

Percentiles are as exact as the histogram: bounds, never a number between them. Transitions are counted where their
stage was entered, so a cohort that is young shows its quick ones first: `maturity` says how much is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView
from streams.report.document.percentiles import Durations, durations_of
from streams.report.document.rates import compares_people, ratio
from streams.report.document.shapes import NamedCell
from streams.report.questions.compared import Compared, compare_rates


class PathTransition(TypedDict):
    """From one stage to a later one."""

    before: str
    after: str
    share: float
    """Of the entries of the stage before."""
    took: Durations


class PathStage(TypedDict):
    """What is known of the entries of a stage."""

    stage: str
    entries: int
    maturity: float | None
    """Share of them whose outcome is known; None: there are none."""
    lead_time: Durations | None
    """From the start of a journey to its first order, where this is its stage."""
    loss_time: Durations | None
    """From an entry to its loss."""


class StageEffect(TypedDict):
    """Journeys that got beyond a stage: did those that entered it win more often than those that jumped over it?"""

    stage: str
    won: Compared
    """`before` without the stage, `after` with it: of the journeys that got beyond it those that entered an order
    stage."""
    won_without: list[int]
    """[fewest, most] that won without it. The two differ where journeys began behind the stage: of those that won among
    them counters do not tell which. Then there is no rate without it."""


class PathCell(TypedDict):
    """One cell."""

    dim: str
    stages: list[PathStage]
    transitions: list[PathTransition]
    effects: list[StageEffect]
    """Of the stages before the first order stage; only of totals, because a span holds the one half of a journey, and
    not by a dimension with the attribution `stage`."""
    nobody_needs: list[str]
    """Stages without which not fewer won: the rate without them is at least as high, and nothing speaks against it."""


class PathsDocument(TypedDict):
    """The answer to the question how journeys go."""

    funnel: str
    version: int
    watermark_ms: int | None
    cells: list[PathCell]


def path_cell(funnel: Funnel, cell: NamedCell, *, dim: str = "", is_total: bool) -> PathCell:
    """The answer for one cell."""
    view, names = CellView(cell), [stage.name for stage in funnel.stages]
    effects = list(_effects(funnel, view)) if is_total and compares_people(funnel, dim) else []
    return {
        "dim": dim,
        "stages": [_stage(view, name) for name in names],
        "transitions": [each for name in names for each in _transitions(view, name, names=names)],
        "effects": effects,
        "nobody_needs": [effect["stage"] for effect in effects if _is_needless(effect["won"])],
    }


def _stage(view: CellView, name: str) -> PathStage:
    entries = view.entries(name)
    return {
        "stage": name,
        "entries": entries,
        "maturity": view.resolved(name) / entries if entries > 0 else None,
        "lead_time": durations_of(view.amounts(name, "lead_time"), view.amount(name, "lead_time_seconds")),
        "loss_time": durations_of(view.amounts(name, "loss_time"), view.amount(name, "loss_time_seconds")),
    }


def _transitions(view: CellView, name: str, *, names: list[str]) -> Iterable[PathTransition]:
    seconds = view.amounts(name, "duration_seconds")
    by_stage: dict[str, dict[str, int]] = {}
    for key, count in view.amounts(name, "durations").items():
        after, _, edge = key.rpartition(" ")
        by_stage.setdefault(after, {})[edge] = count
    for after in names:
        took = durations_of(by_stage.get(after, {}), seconds.get(after, 0))
        if took is not None:
            share = took["count"] / view.entries(name)
            yield {"before": name, "after": after, "share": share, "took": took}


def _effects(funnel: Funnel, view: CellView) -> Iterable[StageEffect]:
    """Of every stage before the first order stage, for which somebody jumped over it.

    A journey that did not begin at an order stage and won is counted once in `lead_time`. It entered the stage (`won`),
    jumped over it, or began behind it.
    """
    names = [stage.name for stage in funnel.stages]
    end = next((number for number, stage in enumerate(funnel.stages) if stage.nth is not None), 0)
    all_won = sum(view.amount(name, "lead_time") for name in names)
    for number, name in enumerate(names[:end]):
        if not (skipped := view.amount(name, "skipped")):
            continue
        began_behind = sum(view.amount(s.name, "started") for s in funnel.stages[number + 1 :] if s.nth is None)
        others = all_won - view.amount(name, "won")
        fewest, most = max(0, others - began_behind), min(skipped, others)
        beyond = view.amount(name, "advanced.cohort") + view.amount(name, "revived.cohort")
        without = ratio(most, skipped) if fewest == most else None
        won = compare_rates({"": (without, ratio(view.amount(name, "won"), beyond))})[""]
        yield {"stage": name, "won": won, "won_without": [fewest, most]}


def _is_needless(won: Compared) -> bool:
    """At least as many won without it, with a test that had something to test."""
    return won["p_value"] is not None and won["difference"] is not None and won["difference"] <= 0
