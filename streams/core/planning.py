"""From a funnel's model to its plan: the only module of the core that knows `schemas.funnel`."""

from __future__ import annotations

from schemas.attribution import TOUCHES_PROPERTY
from schemas.funnel import model, parts
from schemas.funnel.rules import Rule
from schemas.funnel.scoring import SCORED_PROPERTY
from schemas.places import property_of
from streams.core.definition import Condition, Definition, Dimension, LostRule, ScoreRule, Scoring, Stage, StageRule
from streams.core.plan import Plan


def plan_of(funnel: model.Funnel) -> Plan:
    """The plan of a checked funnel. ValueError where it has more order stages than can be counted."""
    return Plan(definition_of(funnel))


def definition_of(funnel: model.Funnel) -> Definition:
    """What the core needs of a funnel."""
    return Definition(
        funnel_id=funnel.funnel_id,
        timezone=funnel.timezone,
        currency=funnel.currency,
        window_ms=funnel.conversion_window_ms,
        lateness_ms=funnel.allowed_lateness_ms,
        ends_at_completion=funnel.reentry == "completion",
        unit=funnel.unit,
        lead_in_ms=funnel.lead_in_ms,
        publishes_journeys=funnel.journeys,
        sources=None if funnel.sources is None else frozenset(funnel.sources),
        traffic=frozenset(funnel.traffic),
        stages=tuple(
            Stage(stage.name, stage.abandon_after_ms, stage.stalled_after_ms, stage.nth) for stage in funnel.stages
        ),
        stage_rules=tuple(
            StageRule(rule.event, _where(rule), number)
            for number, stage in enumerate(funnel.stages)
            for rule in stage.on
        ),
        lost_rules=tuple(LostRule(rule.event, _where(rule), lost.reason) for lost in funnel.lost for rule in lost.on),
        refunds=frozenset(funnel.refunds),
        ad_spend=frozenset(funnel.ad_spend),
        scoring=_scoring(funnel),
        dimensions=tuple(_dimension(funnel, dimension) for dimension in funnel.dimensions),
        pairs=funnel.pairs,
        event_names=funnel.event_names,
        properties=funnel.properties,
    )


def _where(rule: Rule) -> tuple[Condition, ...]:
    return tuple(
        Condition(property_of(condition.property), condition.op, condition.operand) for condition in rule.where
    )


def _scoring(funnel: model.Funnel) -> Scoring | None:
    given = funnel.scoring
    if given is None:
        return None
    return Scoring(
        half_life_ms=given.half_life_ms,
        warm=given.warm,
        hot=given.hot,
        most_points=given.most_points,
        rules=tuple(
            ScoreRule(rule.event, _where(rule), points.points, number)
            for number, points in enumerate(given.points)
            for rule in points.on
        ),
    )


def _dimension(funnel: model.Funnel, dimension: parts.Dimension) -> Dimension:
    return Dimension(
        name=dimension.name,
        property_name=property_of(dimension.property),
        attribution=dimension.attribution,
        values=dimension.compared_values(),
        cap=dimension.cap,
        is_scored=funnel.scoring is not None and dimension.property == SCORED_PROPERTY,
        counts_touches=dimension.property == TOUCHES_PROPERTY,
    )
