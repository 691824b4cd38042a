"""What a metric of the exporter is, and how the catalogue declares one. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name without `_total`, its type, its help text and its labels."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    """A histogram is a gauge, too: its counts can become smaller, and it needs no `rate()`."""
    text: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Metrics under one heading of docs/metrics.md; `common` are labels that all have: the heading names them."""

    title: str
    metrics: tuple[Metric, ...]
    common: tuple[str, ...] = ()


def gauge(name: str, text: str, *labels: str) -> Metric:
    """What can fall."""
    return Metric(f"funnel_{name}", "gauge", text, labels)


def histogram(name: str, text: str, *labels: str) -> Metric:
    """How often something took how long."""
    return Metric(f"funnel_{name}", "histogram", text, labels)


def counter(name: str, text: str, *labels: str) -> Metric:
    """What never falls; its name is given without `_total`."""
    return Metric(f"funnel_{name}", "counter", text, labels)
