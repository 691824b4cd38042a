"""How the dashboards ask: one funnel and version at a time, several exporters as one, no share of nothing. Text."""

from __future__ import annotations

from collections.abc import Sequence

from funnelcast.dashboards.panels import Query, Variable

FUNNEL = 'funnel="$funnel", version="$version"'
WINDOW = f'{FUNNEL}, window="$window"'
VALUE = f'{FUNNEL}, dimension="$dimension"'
VALUE_WINDOW = f'{VALUE}, window="$days"'
RATE = "[$__rate_interval]"
WEEK = " offset 1w"

FUNNEL_VARIABLES = (
    Variable("funnel", "Funnel", "funnel_stage_info"),
    Variable("version", "Version", 'funnel_stage_info{funnel="$funnel"}', is_newest_first=True),
)
WINDOW_VARIABLE = Variable("window", "Window", listed="5m,1h,24h,7d", default="24h")
DAYS_VARIABLE = Variable("days", "Window of values", listed="24h,7d", default="7d")


INNER = f'on (stage) max by (stage) (funnel_cohort_entries{{{FUNNEL}, age="1h"}})'
"""Every stage but the last one, which nobody leaves: for `and`."""


def newest(series: str, *labels: str) -> str:
    """A gauge of the exporter: a second exporter of the space shows the same, it does not add to it."""
    return f"max by ({', '.join(labels)}) ({series})"


def total(series: str, *labels: str, over: tuple[str, ...] = ("stage",)) -> str:
    """A gauge added up over some of its labels."""
    return f"sum by ({', '.join(labels)}) ({newest(series, *labels, *over)})"


def share(part: str, whole: str) -> str:
    """A ratio that is absent, not infinite, where there is nothing to divide by."""
    return f"{part} / ({whole} > 0)"


def in_order(expr: str) -> Query:
    """A query by stage, each stage named with its position so that it can be sorted."""
    return Query(by_step(expr), "{{step}}")


def by_step(expr: str, *labels: str) -> str:
    """The same of any query by stage, and by other labels; `expr` needs no brackets."""
    info = newest(f"funnel_stage_info{{{FUNNEL}}}", "stage", "position")
    joined = f"({expr}) * on (stage) group_left (position) {info}"
    return f'sum by ({", ".join(("step", *labels))}) (label_join({joined}, "step", " ", "position", "stage"))'


def named_in_order(expr: str, label: str, *, names: Sequence[tuple[str, str]], keep: str) -> Query:
    """A query by a label whose values have an order and names; `keep` is shown beside them."""
    for number, (value, name) in enumerate(names, 1):
        expr = f'label_replace({expr}, "step", "{number} {name}", "{label}", "{value}")'
    return Query(f"sum by (step, {keep}) ({expr})", f"{{{{step}}}}, {{{{{keep}}}}}")


def cohort(part: str, *, labels: str = WINDOW, offset: str = "") -> str:
    """Of the entries made in a window, the share with an outcome: by stage."""
    whole = newest(f"funnel_window_cohort_resolved{{{labels}}}{offset}", "stage")
    return f"{share(newest(f'funnel_window_cohort_{part}{{{labels}}}{offset}', 'stage'), whole)} and {INNER}"


def quantile(number: float, series: str, *labels: str) -> str:
    """Of a histogram of the exporter: a gauge, so without `rate`."""
    return f"histogram_quantile({number}, {newest(series, *labels, 'le')})"


def by_value(metric: str, *labels: str) -> str:
    """Of a window, by the values of the chosen dimension, over all stages unless `stage` is among the labels."""
    series = f"funnel_dimension_window_{metric}{{{VALUE_WINDOW}}}"
    return newest(series, "value", *labels) if "stage" in labels else total(series, "value", *labels)


def first_stage(metric: str) -> str:
    """Of a window, by value, of the first stage of the funnel."""
    info = newest(f'funnel_stage_info{{{FUNNEL}, position="01"}}', "stage")
    return f"sum by (value) ({by_value(metric, 'stage')} * on (stage) group_left () {info})"
