"""Writes the tables of docs/metrics.md from the metrics that the processes declare; the prose between them is kept.

Run `python docs/write_metrics.py` after a metric was added. A test compares the committed page with what this script
writes. It reads declarations and writes nothing but that page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from prometheus_client.metrics import MetricWrapperBase

from funnelcast.canary.metrics import CanaryMetrics
from producers.collector.metrics import COUNTERS, CollectorMetrics
from producers.collector.spool_metrics import show_spool
from producers.webhooks.enricher_metrics import EnricherMetrics
from streams.api.app import ApiMetrics
from streams.exporter import catalogue
from streams.exporter.metric import Metric
from streams.worker.metrics import WorkerMetrics

PAGE = Path(__file__).resolve().parent / "metrics.md"
HEAD = "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n"
KINDS = {"histogram": "gauge histogram"}


class Line(NamedTuple):
    """One metric as a row."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"| `{self.name}` | {self.kind} | {', '.join(self.labels) or '–'} | {self.text} |\n"


def page() -> str:
    """The page as it should be: every table under the heading of its metrics written anew."""
    text = PAGE.read_text(encoding="utf-8")
    for title, lines in sections():
        table = re.compile(rf"(^## {re.escape(title)}\n(?:(?!^## |^\|).*\n)*)(?:^\|.*\n)+", re.MULTILINE)
        match = table.search(text)
        if match is None:
            raise SystemExit(f"docs/metrics.md has no heading with a table: ## {title}")
        text = text[: match.end(1)] + HEAD + "".join(map(str, lines)) + text[match.end() :]
    return text


def sections() -> Iterator[tuple[str, Iterable[Line]]]:
    """Headings and their metrics."""
    for section in catalogue.SECTIONS:
        yield section.title, [_of_exporter(metric, section.common) for metric in section.metrics]
    yield "Worker", _declared(WorkerMetrics())
    yield "Collector", _of_collector()
    yield "Enricher", _declared(EnricherMetrics())
    yield "Canary", _declared(CanaryMetrics())
    yield "Web (reports API)", _declared(ApiMetrics())


def _of_exporter(metric: Metric, common: tuple[str, ...]) -> Line:
    labels = tuple(label for label in metric.labels if label not in common)
    name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
    return Line(name, KINDS.get(metric.kind, metric.kind), labels, metric.text)


def _declared(metrics: object) -> Iterator[Line]:
    """What a process declares as members of one object."""
    for member in vars(metrics).values():
        if isinstance(member, MetricWrapperBase):
            (family,) = member.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = member._labelnames  # noqa: SLF001 - there is no public name for it
            yield Line(name, family.type, tuple(labels), family.documentation)


def _of_collector() -> Iterator[Line]:
    labels = {counter.name: counter.labels for counter in COUNTERS} | {"request_seconds": ("route",)}
    metrics = CollectorMetrics(pending=lambda: 0, is_up=lambda: True)
    show_spool(metrics, None)
    for family in metrics.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        short = family.name.removeprefix("funnelcast_collector_")
        yield Line(name, family.type, labels.get(short, ()), family.documentation)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
