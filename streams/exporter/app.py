"""The exporter's HTTP as an ASGI application: /metrics, /healthz, /readyz. Renders snapshots; reads nothing itself."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as PrometheusMetric

from streams.exporter import catalogue
from streams.exporter.cache import Reading, SnapshotCache
from streams.exporter.collector import Page, fill

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_SCRAPE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_GZIP_FROM_BYTES = 2048
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""On every answer, as the collector has them."""


class ExporterApp:
    """One per process; a registry of its own."""

    def __init__(
        self,
        cache: SnapshotCache,
        *,
        version: str,
        space: str,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._cache = cache
        self._build = (version, space)
        self._clock_ms = clock_ms
        self._highest: dict[tuple[str, tuple[str, ...]], float] = {}
        self._reading: Reading | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._scrape_seconds = Histogram(
            catalogue.SCRAPE_SECONDS,
            "How long the answers to scrapes took, this one not included.",
            buckets=_SCRAPE_BUCKETS,
            registry=self._registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, {"allow": "GET, HEAD"}, b"only GET\n")
        elif scope["path"] == "/metrics":
            kind, body = await self.page(headers.get("accept", ""))
            await _answer(send, 200, {"content-type": kind}, body, encodings=headers.get("accept-encoding", ""))
        elif scope["path"] == "/healthz":
            await _answer_json(send, 200, {"ok": True})
        elif scope["path"] == "/readyz":
            reading = await self._cache.fresh()
            await _answer_json(send, 200 if reading.is_up else 503, {"ok": reading.is_up, "redis": reading.is_up})
        else:
            await _answer(send, 404, {}, b"/metrics, /healthz or /readyz\n")

    async def page(self, accept: str) -> tuple[str, bytes]:
        """(content type, body) of /metrics in the format the scraper prefers."""
        started = time.perf_counter()
        self._reading = await self._cache.fresh()
        encoder, kind = choose_encoder(accept)
        body: bytes = encoder(self._registry)
        self._scrape_seconds.observe(time.perf_counter() - started)
        return kind, body

    def describe(self) -> list[PrometheusMetric]:
        """Nothing is read when the collector is registered."""
        return []

    def collect(self) -> Iterable[PrometheusMetric]:
        """Families of the newest reading (prometheus_client calls it)."""
        page, now_ms = Page(), self._clock_ms()
        page.add(catalogue.BUILD, *self._build, value=1)
        if reading := self._reading:
            page.add(catalogue.REDIS_UP, value=float(reading.is_up))
            page.add(catalogue.STATE_BROKEN, value=float(reading.is_refused))
            page.add(catalogue.READ_SECONDS, value=reading.read_seconds)
            page.add(catalogue.READ_ERRORS, value=reading.errors)
            if reading.snapshot is not None:
                page.add(catalogue.SNAPSHOT_AGE, value=max(0, now_ms - reading.snapshot.read_at_ms) / 1000)
                fill(page, reading.snapshot, now_ms)
        return page.families(self._highest)


async def _answer_json(send: Send, status: int, state: dict[str, Any]) -> None:
    await _answer(send, status, {"content-type": "application/json"}, json.dumps(state).encode() + b"\n")


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes, *, encodings: str = "") -> None:
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", **headers}
    if len(body) > _GZIP_FROM_BYTES and "gzip" in encodings:
        body = gzip.compress(body, compresslevel=1)
        headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
    headers["content-length"] = str(len(body))
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*encoded, *_SECURITY]})
    await send({"type": "http.response.body", "body": body})
