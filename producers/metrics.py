"""The collector's own metrics. Declared here, used by the collector; one registry per process, no global state."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest

from schemas.reasons import RejectReason

ROUTES = ("/v1/events", "/v1/batch", "/v1/track", "/v1/page", "/v1/identify")


class CollectorMetrics:
    """`events_total` counts every event once: received = accepted + rejected, always."""

    def __init__(self, *, pending: Callable[[], int], is_up: Callable[[], bool]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "funnelcast_collector_requests", "HTTP requests by route and status.", ["route", "code"], registry=registry
        )
        self.seconds = Histogram(
            "funnelcast_collector_request_seconds",
            "Time to answer a request with events, Kafka's acknowledgement included.",
            ["route"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
            registry=registry,
        )
        self.received = Counter(
            "funnelcast_collector_events_received", "Events received, whatever became of them.", registry=registry
        )
        self.events = Counter(
            "funnelcast_collector_events",
            "Events answered for, by what became of them (reason: see docs/api.md).",
            ["source", "outcome", "reason"],
            registry=registry,
        )
        self.unacknowledged = Counter(
            "funnelcast_collector_events_unacknowledged",
            "Events answered with 503, because Kafka did not acknowledge them: their senders send them again.",
            registry=registry,
        )
        self.clamped = Counter(
            "funnelcast_collector_times_clamped",
            "Events with an absurd time, which was replaced by the time of reception.",
            registry=registry,
        )
        self.placeholders = Counter(
            "funnelcast_collector_placeholder_ids", "Ids that stand for no id and were dropped.", registry=registry
        )
        self.unknown_names = Counter(
            "funnelcast_collector_unknown_names", "Accepted events that no funnel looks at.", registry=registry
        )
        self.ticks = Counter("funnelcast_collector_ticks", "Ticks received from historical senders.", registry=registry)
        Gauge(
            "funnelcast_collector_pending_records", "Records that Kafka has not acknowledged.", registry=registry
        ).set_function(pending)
        Gauge("funnelcast_collector_up", "1 while events can be written to Kafka.", registry=registry).set_function(
            lambda: float(is_up())
        )
        for route in ROUTES:
            self.requests.labels(route, "200")
            self.seconds.labels(route)
        for reason in RejectReason:
            self.events.labels("unknown", "rejected", reason.value)

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
