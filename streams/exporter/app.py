"""The exporter as an ASGI application: renders snapshots as /metrics. Reads nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from streams.evidence.live import FunnelEvidence
from streams.exporter import catalogue, protobuf
from streams.exporter.cache import Reading, SnapshotCache
from streams.exporter.encode import Encoder
from streams.exporter.evidence_samples import fill_evidence
from streams.exporter.highest import Highest
from streams.exporter.page import Page
from streams.exporter.samples import fill
from streams.web.app import Readiness, Receive, Send, web_app

_SCRAPE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class ExporterApp:
    """One per process; a registry of its own."""

    def __init__(
        self,
        cache: SnapshotCache,
        *,
        version: str,
        space: str,
        evidence: Callable[[], Sequence[FunnelEvidence]] = tuple,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._cache = cache
        self._build = (version, space)
        self._evidence = evidence
        self._clock_ms = clock_ms
        self._highest, self._encoder, self._protobuf = Highest(), Encoder(), protobuf.ProtobufEncoder()
        self._reading: Reading | None = None
        self._pages = web_app(metrics=self.page, ready=self.readiness)
        self._registry = CollectorRegistry()
        self._scrape_seconds = Histogram(
            catalogue.SCRAPE_SECONDS,
            "How long the answers to scrapes took, this one not included.",
            buckets=_SCRAPE_BUCKETS,
            registry=self._registry,
        )

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._pages(scope, receive, send)

    async def readiness(self) -> Readiness:
        """Whether the store can be read."""
        reading = await self._cache.newest()
        return Readiness(reading.is_up, "" if reading.is_up else "Redis cannot be read: /metrics shows the last counts")

    async def page(self, accept: str) -> tuple[str, bytes]:
        """(content type, body) of /metrics in the format the scraper prefers."""
        started = time.perf_counter()
        self._reading = await self._cache.newest()
        page = self._page()
        self._highest.keep(page)
        kind, body = self._encoded(page, accept)
        self._scrape_seconds.observe(time.perf_counter() - started)
        return kind, body

    def _encoded(self, page: Page, accept: str) -> tuple[str, bytes]:
        """With the histogram of the process itself."""
        if protobuf.is_asked_for(accept):
            own = map(protobuf.encode_histogram, self._registry.collect())
            return protobuf.CONTENT_TYPE, b"".join((self._protobuf.encode(page), *own))
        encoder, kind = choose_encoder(accept)
        text = self._encoder.encode(page, is_openmetrics="openmetrics" in kind)
        body: bytes = text.encode() + encoder(self._registry)
        return kind, body

    def _page(self) -> Page:
        """Everything of the newest reading."""
        page, now_ms = Page(), self._clock_ms()
        page.add(catalogue.BUILD, *self._build, value=1)
        if reading := self._reading:
            page.add(catalogue.REDIS_UP, value=float(reading.is_up))
            page.add(catalogue.STATE_BROKEN, value=float(reading.is_refused))
            page.add(catalogue.READ_SECONDS, value=reading.read_seconds)
            page.add(catalogue.READ_ERRORS, value=reading.errors)
            if reading.snapshot is not None:
                page.add(catalogue.SNAPSHOT_AGE, value=max(0, now_ms - reading.snapshot.read_at_ms) / 1000)
                fill(page, reading.snapshot, now_ms=now_ms)
        fill_evidence(page, self._evidence(), now_ms=now_ms)
        return page
