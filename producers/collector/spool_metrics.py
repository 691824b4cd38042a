"""What the collector's metrics say of the spool; all zero where there is none. Reads, decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from producers.collector.metrics import CollectorMetrics
from producers.spool.settings import SpoolState
from producers.spool.sink import SpoolSink

_NOTHING = SpoolState()


def show_spool(
    metrics: CollectorMetrics,
    sink: SpoolSink | None,
    *,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> None:
    """Add the spool's values to the page, and have its counters counted there."""

    def state() -> SpoolState:
        return _NOTHING if sink is None else sink.state()

    def oldest_seconds() -> float:
        oldest_ms = state().oldest_ms
        return 0.0 if oldest_ms is None else max(0, now_ms() - oldest_ms) / 1000

    metrics.gauge("spool_limit_bytes", "Most bytes that may wait on disk; 0: no spool.", lambda: state().limit_bytes)
    metrics.gauge("spool_bytes", "Bytes on disk on their way to Kafka.", lambda: state().bytes)
    metrics.gauge("spool_records", "Records on disk on their way to Kafka.", lambda: state().records)
    metrics.gauge("spool_oldest_seconds", "How long the oldest of them has waited.", oldest_seconds, merge=max)
    metrics.gauge(
        "spool_quarantined_bytes",
        "What of the spool could not be read or sent and was set aside.",
        lambda: state().quarantined_bytes,
    )
    if sink is not None:
        sink.on_moved = metrics.add
