"""One page of metrics as it is filled: samples by metric and label values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.utils import floatToGoString

from schemas.counters import DURATION_EDGES_SECONDS
from streams.exporter import catalogue
from streams.exporter.metric import Metric

Labels = tuple[str, ...]
_EDGES = (*map(str, DURATION_EDGES_SECONDS), "inf")
_SHOWN_EDGES = (*map(floatToGoString, DURATION_EDGES_SECONDS), "+Inf")


@dataclass(slots=True)
class Histogram:
    """Counts by edge, each of what lies between it and the one before, and the sum of the seconds."""

    counts: dict[str, int] = field(default_factory=dict)
    seconds: int = 0

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        so_far, cumulative = 0, []
        for edge, shown in zip(_EDGES, _SHOWN_EDGES, strict=True):
            so_far += self.counts.get(edge, 0)
            cumulative.append((shown, float(so_far)))
        return cumulative


class Page:
    """Samples of one page, by metric and label values."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[Labels, float]] = {metric.name: {} for metric in catalogue.METRICS}
        self.histograms: dict[str, dict[Labels, Histogram]] = {metric.name: {} for metric in catalogue.METRICS}

    def add(self, metric: Metric, *labels: str, value: float) -> None:
        """Add to a sample (0 creates it)."""
        row = self.samples[metric.name]
        row[labels] = row.get(labels, 0) + value

    def add_histogram(self, metric: Metric, *labels: str, counts: Mapping[str, int], seconds: int) -> None:
        """Add to a histogram (no counts create it)."""
        shown = self.histograms[metric.name].setdefault(labels, Histogram())
        shown.seconds += seconds
        for edge, amount in counts.items():
            shown.counts[edge] = shown.counts.get(edge, 0) + amount
