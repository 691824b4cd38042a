"""The collector's own metrics: plain counts on the hot path, turned into Prometheus families when scraped.

A count here is a dict entry; the client library's locked counters cost a tenth of a request. One event loop, no locks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from schemas.reasons import RejectReason

ROUTES = ("/v1/events", "/v1/batch", "/v1/track", "/v1/page", "/v1/identify")
EDGES = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_PREFIX = "funnelcast_collector_"


@dataclass(slots=True)
class Counts:
    """What became of the events of one request, once Kafka has them."""

    accepted: int = 0
    clamped: int = 0
    placeholder_ids: int = 0
    unknown_names: int = 0
    deduplicated: int = 0
    ticks: int = 0
    rejected: list[RejectReason] = field(default_factory=list)

    @property
    def events(self) -> int:
        """Accepted, rejected and deduplicated ones; ticks are no events."""
        return self.accepted + self.deduplicated + len(self.rejected)


class CollectorMetrics(Collector):
    """`events_total` counts every event once: received = accepted + rejected + deduplicated, always."""

    def __init__(self, *, pending: Callable[[], int], is_up: Callable[[], bool]) -> None:
        self.registry = CollectorRegistry()
        self._pending, self._is_up = pending, is_up
        self._requests = Counter({(route, 200): 0 for route in ROUTES})
        self._buckets = {route: [0] * (len(EDGES) + 1) for route in ROUTES}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._events = Counter({("unknown", "rejected", reason.value): 0 for reason in RejectReason})
        self._counts = Counts()
        self.received = 0
        self.unacknowledged = 0
        self.registry.register(self)

    def answered(self, route: str, status: int, seconds: float | None = None) -> None:
        """One answer; `seconds` for a request with events."""
        self._requests[route, status] += 1
        if seconds is not None:
            buckets = self._buckets.get(route)
            if buckets is None:
                buckets = self._buckets[route] = [0] * (len(EDGES) + 1)
            buckets[bisect_left(EDGES, seconds)] += 1
            self._seconds[route] += seconds

    def counted(self, source: str, counts: Counts) -> None:
        """The events of one request."""
        self.received += counts.events
        if counts.accepted:
            self._events[source, "accepted", ""] += counts.accepted
        if counts.deduplicated:
            self._events[source, "deduplicated", ""] += counts.deduplicated
        for reason in counts.rejected:
            self._events[source, "rejected", reason.value] += 1
        total = self._counts
        total.clamped += counts.clamped
        total.placeholder_ids += counts.placeholder_ids
        total.unknown_names += counts.unknown_names
        total.ticks += counts.ticks

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield _by_labels("requests", "HTTP requests by route and status.", ["route", "code"], self._requests)
        yield self._histogram()
        yield _counter("events_received", "Events answered for, whatever became of them.", self.received)
        yield _by_labels(
            "events",
            "Events answered for, by what became of them (reason: see docs/api.md).",
            ["source", "outcome", "reason"],
            self._events,
        )
        yield _counter(
            "events_unacknowledged",
            "Events answered with 503, because Kafka did not acknowledge them: their senders send them again.",
            self.unacknowledged,
        )
        total = self._counts
        yield _counter("times_clamped", "Events whose absurd time became the time of reception.", total.clamped)
        yield _counter("placeholder_ids", "Ids that stand for no id and were dropped.", total.placeholder_ids)
        yield _counter("unknown_names", "Accepted events that no funnel looks at.", total.unknown_names)
        yield _counter("ticks", "Ticks received from historical senders.", total.ticks)
        yield _gauge("pending_records", "Records that Kafka has not acknowledged.", self._pending())
        yield _gauge("up", "1 while events can be written to Kafka.", self._is_up())

    def _histogram(self) -> Metric:
        found = HistogramMetricFamily(
            f"{_PREFIX}request_seconds",
            "Time to answer a request with events, Kafka's acknowledgement included.",
            labels=["route"],
        )
        for route, buckets in self._buckets.items():
            running, samples = 0, []
            for edge, count in zip((*EDGES, "+Inf"), buckets, strict=True):
                running += count
                samples.append((str(edge), running))
            found.add_metric([route], buckets=samples, sum_value=self._seconds[route])
        return found

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(_PREFIX + name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value=float(value))


def _by_labels(
    name: str, text: str, labels: list[str], counts: Counter[tuple[str, int]] | Counter[tuple[str, str, str]]
) -> Metric:
    found = CounterMetricFamily(_PREFIX + name, text, labels=labels)
    for key, value in counts.items():
        found.add_metric([str(one) for one in key], value)
    return found
