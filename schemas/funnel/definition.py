"""A funnel written back in the form of a funnel file, defaults filled in: loading it gives an equal funnel. Pure."""

from __future__ import annotations

from typing import Any

from schemas.funnel.duration import format_duration
from schemas.funnel.model import Funnel, Rule, Stage


def _rule_definition(rule: Rule) -> object:
    if not rule.where:
        return rule.event
    where: dict[str, Any] = {}
    for one in rule.where:
        if one.op == "eq":
            where[one.property] = one.operand
        elif one.op == "in":
            where[one.property] = list(one.operand) if isinstance(one.operand, tuple) else one.operand
        else:
            where.setdefault(one.property, {})[one.op] = one.operand
    return {"event": rule.event, "where": where}


def _stage_definition(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = {"name": stage.name, "on": [_rule_definition(rule) for rule in stage.on]}
    for key, milliseconds in (("abandon_after", stage.abandon_after_ms), ("stalled_after", stage.stalled_after_ms)):
        if milliseconds is not None:
            found[key] = format_duration(milliseconds)
    if stage.role is not None:
        found["role"] = stage.role
    if stage.nth is not None:
        found |= {"order": True} if stage.nth == 1 else {"nth": stage.nth}
    return found


def definition_of(funnel: Funnel) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": funnel.name,
        "version": funnel.version,
        "timezone": funnel.timezone,
        "currency": funnel.currency,
        "conversion_window": format_duration(funnel.conversion_window_ms),
        "allowed_lateness": format_duration(funnel.allowed_lateness_ms),
        "reentry": funnel.reentry,
        "stages": [_stage_definition(stage) for stage in funnel.stages],
        "lost": [
            {"on": [_rule_definition(rule) for rule in lost.on]} | ({"reason": lost.reason} if lost.reason else {})
            for lost in funnel.lost
        ],
        "refunds": list(funnel.refunds),
        "ad_spend": list(funnel.ad_spend),
        "dimensions": [
            {"name": one.name, "attribution": one.attribution, "property": one.property}
            | ({"values": list(one.values)} if one.values is not None else {"cap": one.cap})
            for one in funnel.dimensions
        ],
        "pairs": [list(pair) for pair in funnel.pairs],
    }
    if funnel.sources is not None:
        found["sources"] = list(funnel.sources)
    if funnel.description:
        found["description"] = funnel.description
    return found
