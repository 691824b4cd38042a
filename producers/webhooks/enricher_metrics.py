"""The enricher's own metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import generate_latest

_PREFIX = "funnelcast_enricher_"


class EnricherMetrics:
    """Every hook ends as one of enriched, bare, unchanged, rejected."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._hooks = Counter(
            f"{_PREFIX}hooks",
            "Hooks worked on, by what became of them: enriched, bare (without the CRM's details), unchanged, rejected.",
            ["hook", "outcome"],
            registry=self.registry,
        )
        self._requests = Counter(
            f"{_PREFIX}requests",
            "Answers of the CRMs by status; 0 where there was none.",
            ["hook", "status"],
            registry=self.registry,
        )
        self._retries = Counter(
            f"{_PREFIX}retries", "Tries of a hook that the CRM did not answer.", ["hook"], registry=self.registry
        )
        self.under_way = Gauge(f"{_PREFIX}under_way", "Hooks that are worked on.", registry=self.registry)

    def worked_on(self, hook: str, outcome: str) -> None:
        """One hook is done."""
        self._hooks.labels(hook, outcome).inc()

    def answered(self, hook: str, status: int) -> None:
        """One answer of a CRM."""
        self._requests.labels(hook, str(status)).inc()

    def retried(self, hook: str) -> None:
        """A hook must be tried again."""
        self._retries.labels(hook).inc()

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
