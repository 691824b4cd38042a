"""Every metric of the worker, declared here and nowhere else, in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_PAUSE_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_CHUNK_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class WorkerMetrics:
    """One per process, each with a registry of its own, so that tests do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.records = self._counter("records", "Records applied, ticks included.")
        self.batches = self._counter("batches", "Batches taken from Kafka.")
        self.applies = self._counter("applies", "Writes to the store that moved a cursor or booked deadlines.")
        self.late = self._counter("late", "Events too late to be counted, by funnel.", "funnel")
        self.fenced = self._counter("fenced", "Writes refused because another worker owns the partition by now.")
        self.claims = self._counter("claims", "Partitions claimed (state loaded anew).")
        self.kept = self._counter("kept", "Partitions kept over a rebalance without loading anything.")
        self.repairs = self._counter("repairs", "Partitions reloaded because the store lost its newest writes.")
        self.chain_breaks = self._counter("chain_breaks", "Batches that did not continue the cursor.")
        self.store_up = self._gauge("store_up", "1 while the store takes writes, 0 while the worker waits for it.")
        self.partitions = self._gauge("partitions", "Partitions this worker owns.")
        self.lag = self._gauge("lag_records", "Records behind the end of the log, by partition.", "partition")
        self.watermark = self._gauge("watermark_seconds", "Event-time watermark, by partition.", "partition")
        self.pending = self._gauge("pending_deadlines", "Deadlines passed and not booked yet.", "partition")
        self.persons = self._gauge("persons", "Persons in memory, of all funnels, by partition.", "partition")
        self.wake_ups = self._gauge("wake_ups", "Times at which persons must be looked at again.", "partition")
        self.memory_bound = self._gauge(
            "memory_bound_bytes", "What persons may take at most: worker.max_persons of each partition and funnel."
        )
        self.last_apply = self._gauge("last_apply_timestamp_seconds", "Wall clock of the newest write.")
        self.chunk_seconds = Histogram(
            "funnel_worker_chunk_seconds",
            "From a chunk of records to its acknowledged write.",
            buckets=_CHUNK_SECONDS,
            registry=self.registry,
        )

        self.rebalance_pause_seconds = Histogram(
            "funnel_worker_rebalance_pause_seconds",
            "From the start of a rebalance until a partition that stayed with this worker is read again.",
            buckets=_PAUSE_SECONDS,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"funnel_worker_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"funnel_worker_{name}", text, labels, registry=self.registry)

    def forget_partition(self, partition: int) -> None:
        """A partition went to another worker: its gauges would never change again."""
        for gauge in (self.lag, self.watermark, self.pending, self.persons, self.wake_ups):
            try:
                gauge.remove(str(partition))
            except KeyError:
                continue

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
