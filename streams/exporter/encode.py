"""A page as text for Prometheus: the classic format 0.0.4, or OpenMetrics 1.0. Pure.

The encoders of prometheus_client check and escape every label of every sample again at each scrape: at 10,000 series
that is most of the time. Labels are the same from scrape to scrape, so they are spelled once and kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.utils import floatToGoString

from streams.exporter import catalogue
from streams.exporter.metric import Metric
from streams.exporter.page import Histogram, Labels, Page

_MOST_KEPT = 500_000
"""Spelled labels; beyond it all are forgotten: values that come and go must not fill the memory."""


class Encoder:
    """One per process."""

    def __init__(self) -> None:
        self._spelled: dict[tuple[Labels, Labels], str] = {}

    def encode(self, page: Page, *, is_openmetrics: bool) -> str:
        """Every metric of the catalogue in its order, without an end mark."""
        if len(self._spelled) > _MOST_KEPT:
            self._spelled.clear()
        lines: list[str] = []
        for metric in catalogue.METRICS:
            if metric.kind == "histogram":
                lines += self._histogram(metric, page.histograms[metric.name], is_openmetrics=is_openmetrics)
                continue
            shown = f"{metric.name}_total" if metric.kind == "counter" else metric.name
            lines += _head(metric.name if is_openmetrics else shown, kind=metric.kind, text=metric.text)
            lines += [
                f"{shown}{self._labels(metric.labels, labels)} {_number(value)}\n"
                for labels, value in page.samples[metric.name].items()
            ]
        return "".join(lines)

    def _histogram(self, metric: Metric, histograms: dict[Labels, Histogram], *, is_openmetrics: bool) -> Iterator[str]:
        """The classic format has no gauge histogram: there its number and its sum are gauges beside it."""
        name, names = metric.name, (*metric.labels, "le")
        counts, sums = [], []
        yield from _head(name, kind="gaugehistogram" if is_openmetrics else "histogram", text=metric.text)
        for labels, histogram in histograms.items():
            own, buckets = self._labels(metric.labels, labels), histogram.buckets()
            for edge, count in buckets:
                yield f"{name}_bucket{self._labels(names, (*labels, edge))} {_number(count)}\n"
            counts.append(f"{name}_gcount{own} {_number(buckets[-1][1])}\n")
            sums.append(f"{name}_gsum{own} {_number(histogram.seconds)}\n")
            if is_openmetrics:
                yield counts.pop() + sums.pop()
        if not is_openmetrics:
            yield from (*_head(f"{name}_gcount", kind="gauge", text=metric.text), *counts)
            yield from (*_head(f"{name}_gsum", kind="gauge", text=metric.text), *sums)

    def _labels(self, names: Labels, values: Labels) -> str:
        spelled = self._spelled.get((names, values))
        if spelled is None:
            spelled = self._spelled[names, values] = _spell(zip(names, values, strict=True))
        return spelled


def _number(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text


def _head(name: str, *, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {_escaped(text)}\n"
    yield f"# TYPE {name} {kind}\n"


def _spell(labels: Iterable[tuple[str, str]]) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(labels))
    return f"{{{inner}}}" if inner else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
