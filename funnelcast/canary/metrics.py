"""Every metric of the canary, declared here and nowhere else, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_DELAYS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
OUTCOMES = ("taken", "refused", "unanswered")


class CanaryMetrics:
    """One per process."""

    def __init__(self, funnels: Iterable[tuple[str, str]] = ()) -> None:
        """`funnels`: name and version of those that are walked; their series are there from the start, at 0."""
        registry = self.registry = CollectorRegistry()
        of_funnel = ("funnel", "version")
        self.walks = Counter(
            "funnelcast_canary_walks",
            "Walks by what the collector said: taken, refused (an event of it or all) or unanswered.",
            ("outcome",),
            registry=registry,
        )
        self.sent = Gauge(
            "funnelcast_canary_events_sent", "Events that the collector took.", of_funnel, registry=registry
        )
        self.counted = Gauge(
            "funnelcast_canary_events_counted",
            "Events of those that the funnel has seen (and left out).",
            of_funnel,
            registry=registry,
        )
        self.missing = Gauge(
            "funnelcast_canary_events_missing",
            "Events that the funnel has not seen, although all partitions have counted what came later.",
            of_funnel,
            registry=registry,
        )
        self.age = Gauge(
            "funnelcast_canary_age_seconds",
            "Since the newest walk was sent that arrived whole: how fresh the numbers are, with all that is between.",
            of_funnel,
            registry=registry,
        )
        self.delay = Histogram(
            "funnelcast_canary_delay_seconds",
            "From sending a walk until the funnel has seen it.",
            of_funnel,
            buckets=_DELAYS,
            registry=registry,
        )
        for outcome in OUTCOMES:
            self.walks.labels(outcome)
        for labels in funnels:
            for metric in (self.sent, self.counted, self.missing, self.age):
                metric.labels(*labels).set(0)
            self.delay.labels(*labels)

    def render(self, ages: Callable[[], Iterable[tuple[tuple[str, str], float]]]) -> bytes:
        """Prometheus text format; ages are those of this moment."""
        for labels, seconds in ages():
            self.age.labels(*labels).set(seconds)
        return generate_latest(self.registry)
