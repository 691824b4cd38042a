"""A funnel written back in the form of a funnel file, defaults filled in: loading it gives an equal funnel. Pure."""

from __future__ import annotations

import json
from typing import Any

from schemas.funnel.duration import format_duration
from schemas.funnel.model import Funnel
from schemas.funnel.parts import Stage
from schemas.funnel.rules import Rule
from schemas.funnel.scoring import Scoring


def _rule_definition(rule: Rule) -> object:
    if not rule.where:
        return rule.event
    where: dict[str, Any] = {}
    for condition in rule.where:
        operand = condition.operand
        if condition.op == "eq":
            where[condition.property] = operand
        elif condition.op == "in":
            where[condition.property] = list(operand) if isinstance(operand, tuple) else operand
        else:
            where.setdefault(condition.property, {})[condition.op] = operand
    return {"event": rule.event, "where": where}


def _stage_definition(stage: Stage) -> dict[str, Any]:
    definition: dict[str, Any] = {"name": stage.name, "on": [_rule_definition(rule) for rule in stage.on]}
    for key, milliseconds in (("abandon_after", stage.abandon_after_ms), ("stalled_after", stage.stalled_after_ms)):
        if milliseconds is not None:
            definition[key] = format_duration(milliseconds)
    if stage.role is not None:
        definition["role"] = stage.role
    if stage.nth is not None:
        definition |= {"order": True} if stage.nth == 1 else {"nth": stage.nth}
    return definition


def _scoring_definition(scoring: Scoring) -> dict[str, Any]:
    return {
        "half_life": format_duration(scoring.half_life_ms),
        "warm": scoring.warm,
        "hot": scoring.hot,
        "points": [{"on": [_rule_definition(rule) for rule in one.on], "points": one.points} for one in scoring.points],
    }


def definition_text(funnel: Funnel) -> str:
    """The definition as JSON, as it is stored beside what was counted by it."""
    return json.dumps(definition_of(funnel), ensure_ascii=False)


def definition_of(funnel: Funnel) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "name": funnel.name,
        "version": funnel.version,
        "timezone": funnel.timezone,
        "currency": funnel.currency,
        "conversion_window": format_duration(funnel.conversion_window_ms),
        "allowed_lateness": format_duration(funnel.allowed_lateness_ms),
        "reentry": funnel.reentry,
        "traffic": list(funnel.traffic),
        "stages": [_stage_definition(stage) for stage in funnel.stages],
        "lost": [
            {"on": [_rule_definition(rule) for rule in lost.on]} | ({"reason": lost.reason} if lost.reason else {})
            for lost in funnel.lost
        ],
        "refunds": list(funnel.refunds),
        "ad_spend": list(funnel.ad_spend),
        "dimensions": [
            {"name": dimension.name, "attribution": dimension.attribution, "property": dimension.property}
            | ({"values": list(dimension.values)} if dimension.values is not None else {"cap": dimension.cap})
            for dimension in funnel.dimensions
        ],
        "pairs": [list(pair) for pair in funnel.pairs],
    }
    if funnel.unit is not None:
        definition |= {"unit": funnel.unit, "lead_in": format_duration(funnel.lead_in_ms)}
    if funnel.scoring is not None:
        definition["scoring"] = _scoring_definition(funnel.scoring)
    if funnel.sources is not None:
        definition["sources"] = list(funnel.sources)
    if funnel.journeys:
        definition["journeys"] = True
    if funnel.description:
        definition["description"] = funnel.description
    return definition
