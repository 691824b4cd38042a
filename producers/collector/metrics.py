"""The collector's own metrics: plain counts on the hot path, turned into Prometheus families when scraped.

A count here is a dict entry; the client library's locked counters cost a tenth of a request. One event loop, no locks.
A `Snapshot` is what the processes of one collector send each other, so that each of them answers for all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from schemas.reasons import RejectReason

EDGES: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_PREFIX: Final = "funnelcast_collector_"
Labels = tuple[str, ...]
Table = Counter[Labels]
"""A count for each combination of label values."""


@dataclass(frozen=True, slots=True)
class Family:
    """A counter: its name without prefix and suffix, its help, its labels."""

    name: str
    text: str
    labels: Labels = ()


COUNTERS: Final = (
    Family("requests", "HTTP requests by route and status.", ("route", "code")),
    Family("events_received", "Events answered for, whatever became of them.", ("source",)),
    Family(
        "events",
        "Events answered for, by what became of them (reason: see docs/api.md).",
        ("source", "outcome", "reason"),
    ),
    Family(
        "events_unacknowledged",
        "Events answered with 503, because Kafka did not acknowledge them: their senders send them again.",
    ),
    Family(
        "dead_letters_held",
        "Rejected events answered with 503, because their source wrote too many dead letters in a minute; "
        "not among the events received.",
        ("source",),
    ),
    Family("spooled_records", "Records that went to disk because Kafka was away."),
    Family("drained_records", "Records that went from disk to Kafka."),
    Family("times_clamped", "Events with an absurd time, which was replaced by the time of reception."),
    Family("placeholder_ids", "Ids that stand for no id and were dropped."),
    Family(
        "values_repaired",
        "Values that no JSON parser takes (half an emoji, a bare NaN) and that were repaired.",
    ),
    Family("claims", "Link records of accepted events that have several ids, without those that Kafka has already."),
    Family("events_linking", "Accepted events with several ids: each links the lower ones.", ("source",)),
    Family("unknown_names", "Accepted events that no funnel looks at."),
    Family(
        "events_late",
        "Accepted events that no funnel counts: received longer after they occurred than any loaded funnel allows "
        "(`allowed_lateness`).",
        ("source",),
    ),
    Family(
        "events_by_machines",
        "Accepted events that no person made, by the class of their traffic: funnels leave them out by default.",
        ("source", "traffic"),
    ),
    Family(
        "rate_limited",
        "Requests answered with 429, by what was exceeded: key, address, refused; not among the events received.",
        ("by",),
    ),
    Family("ticks", "Ticks received from historical senders."),
)
"""Every counter. Other modules count through `CollectorMetrics.add`."""


@dataclass(slots=True)
class Gauge:
    """A value that is read when it is asked for. `merge` makes one value of those of several processes: sum, or min for
    yes and no."""

    text: str
    read: Callable[[], float]
    merge: Callable[[Iterable[float]], float] = sum


class Counts(msgspec.Struct):
    """What became of the events of one request, once Kafka has them."""

    accepted: int = 0
    claims: int = 0
    """Link records beside the accepted events."""
    linking: int = 0
    """Accepted events with several ids."""
    clamped: int = 0
    late: int = 0
    placeholder_ids: int = 0
    unknown_names: int = 0
    repairs: int = 0
    deduplicated: int = 0
    ticks: int = 0
    rejected: list[RejectReason] = []
    traffic: dict[str, int] = {}
    """Accepted events that are not a person's, by class."""

    @property
    def events(self) -> int:
        """Accepted, rejected and deduplicated ones; ticks are no events."""
        return self.accepted + self.deduplicated + len(self.rejected)


_PLAIN: Final = {
    "times_clamped": "clamped",
    "placeholder_ids": "placeholder_ids",
    "claims": "claims",
    "unknown_names": "unknown_names",
    "values_repaired": "repairs",
    "ticks": "ticks",
}
"""Counters without labels, and the member of `Counts` that each adds up."""


class Snapshot(msgspec.Struct):
    """All values of one process."""

    counters: dict[str, list[tuple[Labels, float]]] = {}
    buckets: dict[str, list[int]] = {}
    seconds: dict[str, float] = {}
    gauges: dict[str, float] = {}


class CollectorMetrics(Collector):
    """For each source received = accepted + rejected + deduplicated, always. `routes` are shown before their first
    request."""

    def __init__(self, *, pending: Callable[[], int], is_up: Callable[[], bool], routes: Sequence[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self._tables: dict[str, Table] = {one.name: Counter() for one in COUNTERS}
        self._requests: Table = self._tables["requests"]
        self._received: Table = self._tables["events_received"]
        self._events: Table = self._tables["events"]
        self._by_machines: Table = self._tables["events_by_machines"]
        self._buckets = {route: [0] * (len(EDGES) + 1) for route in routes}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._gauges: dict[str, Gauge] = {}
        self.others: list[Snapshot] = []
        """What the other processes of this collector counted; set before `render`."""
        self._show_zeros(routes)
        self.gauge("pending_records", "Records that Kafka has not acknowledged.", pending)
        self.gauge("up", "1 while events can be written to Kafka.", is_up, merge=min)
        self.registry.register(self)

    def _show_zeros(self, routes: Sequence[str]) -> None:
        """Series exist before the first event: a rate needs a value to rise from."""
        self._requests.update({(route, "200"): 0 for route in routes})
        self._received["unknown",] = 0
        self._tables["dead_letters_held"]["unknown",] = 0
        self._tables["events_late"]["unknown",] = 0
        self._tables["events_linking"]["unknown",] = 0
        self._events.update({("unknown", "rejected", reason.value): 0 for reason in RejectReason})
        self._tables["rate_limited"].update({(by,): 0 for by in ("key", "address", "refused")})
        for family in COUNTERS:
            if not family.labels:
                self._tables[family.name][()] = 0

    def gauge(
        self,
        name: str,
        text: str,
        read: Callable[[], float],
        *,
        merge: Callable[[Iterable[float]], float] = sum,
    ) -> None:
        """One more value that is read when asked for."""
        self._gauges[name] = Gauge(text, read, merge)

    def add(self, name: str, count: int = 1, labels: Labels = ()) -> None:
        """Count in one of the `COUNTERS`."""
        self._tables[name][labels] += count

    def answered(self, route: str, status: int, seconds: float | None = None) -> None:
        """One answer; `seconds` for a request with events."""
        self._requests[route, str(status)] += 1
        if seconds is not None:
            buckets = self._buckets.get(route)
            if buckets is None:
                buckets = self._buckets[route] = [0] * (len(EDGES) + 1)
            buckets[bisect_left(EDGES, seconds)] += 1
            self._seconds[route] += seconds

    def counted(self, source: str, counts: Counts) -> None:
        """The events of one request."""
        self._received[source,] += counts.events
        if counts.accepted:
            self._events[source, "accepted", ""] += counts.accepted
        if counts.deduplicated:
            self._events[source, "deduplicated", ""] += counts.deduplicated
        self._events.update({(source, "rejected", reason.value): n for reason, n in Counter(counts.rejected).items()})
        self._by_machines.update({(source, traffic): number for traffic, number in counts.traffic.items()})
        for name in _PLAIN:
            if number := getattr(counts, _PLAIN[name]):
                self.add(name, number)
        if counts.late:
            self.add("events_late", counts.late, (source,))
        if counts.linking:
            self.add("events_linking", counts.linking, (source,))

    # -- for Prometheus and for the other processes ---------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The values as they are now."""
        return Snapshot(
            {name: list(table.items()) for name, table in self._tables.items()},
            {route: list(buckets) for route, buckets in self._buckets.items()},
            dict(self._seconds),
            {name: float(gauge.read()) for name, gauge in self._gauges.items()},
        )

    def load(self, earlier: Snapshot) -> None:
        """Go on from what a process that ended had counted: the counters of a collector never fall."""
        for name, values in earlier.counters.items():
            if name in self._tables:
                self._tables[name].update(dict(values))
        for route, buckets in earlier.buckets.items():
            own = self._buckets.setdefault(route, [0] * len(buckets))
            own[:] = [a + b for a, b in zip(own, buckets, strict=True)]
        for route, seconds in earlier.seconds.items():
            self._seconds[route] += seconds

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        snapshots = [self.snapshot(), *self.others]
        for family in COUNTERS:
            metric = CounterMetricFamily(_PREFIX + family.name, family.text, labels=family.labels)
            for labels, value in _summed(one.counters.get(family.name, []) for one in snapshots).items():
                metric.add_metric(labels, value)
            yield metric
        yield _histogram(snapshots)
        for name, gauge in self._gauges.items():
            values = [one.gauges[name] for one in snapshots if name in one.gauges]
            yield GaugeMetricFamily(_PREFIX + name, gauge.text, value=float(gauge.merge(values)))

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)


def _summed(parts: Iterable[list[tuple[Labels, float]]]) -> dict[Labels, float]:
    sums: defaultdict[Labels, float] = defaultdict(float)
    for part in parts:
        for labels, value in part:
            sums[labels] += value
    return sums


def _histogram(snapshots: list[Snapshot]) -> Metric:
    histogram = HistogramMetricFamily(
        f"{_PREFIX}request_seconds",
        "Time to answer a request with events, Kafka's acknowledgement included.",
        labels=["route"],
    )
    for route in dict.fromkeys(route for one in snapshots for route in one.buckets):
        running, samples = 0, []
        parts = [one.buckets[route] for one in snapshots if route in one.buckets]
        for edge, counts in zip((*EDGES, "+Inf"), zip(*parts, strict=True), strict=True):
            running += sum(counts)
            samples.append((str(edge), running))
        seconds = sum(one.seconds.get(route, 0.0) for one in snapshots)
        histogram.add_metric([route], buckets=samples, sum_value=seconds)
    return histogram
