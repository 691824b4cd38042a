"""A page in the protobuf format of Prometheus, which scrapers ask for that want native histograms. Pure.

Histograms have the edges that everything is counted by, no others: Prometheus makes native ones of just these edges
(`convert_classic_histograms_to_nhcb`), and this format tells it that they are gauges, which its texts do not.
The format needs three kinds of fields, so it is written here; a library would bring generated code and a runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack

from prometheus_client.core import Metric as Family

from streams.exporter import catalogue
from streams.exporter.metric import Metric
from streams.exporter.page import Labels, Page

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
_TYPES = {"counter": 0, "gauge": 1, "histogram": 4, "gaugehistogram": 5}
_VALUES = {"gauge": 2, "counter": 3}
"""Fields of a Metric."""
_HISTOGRAM = 7
_MOST_KEPT = 500_000


class ProtobufEncoder:
    """One per process: labels are the same from scrape to scrape, so they are encoded once and kept."""

    def __init__(self) -> None:
        self._encoded: dict[tuple[Labels, Labels], bytes] = {}

    def encode(self, page: Page) -> bytes:
        """Every metric of the catalogue in its order."""
        if len(self._encoded) > _MOST_KEPT:
            self._encoded.clear()
        return b"".join(self._family(metric, page) for metric in catalogue.METRICS)

    def _family(self, metric: Metric, page: Page) -> bytes:
        if metric.kind == "histogram":
            histograms = page.histograms[metric.name].items()
            rows = [
                self._labels(metric.labels, labels) + _histogram(one.buckets(), one.seconds)
                for labels, one in histograms
            ]
            return _family(metric.name, text=metric.text, kind="gaugehistogram", rows=rows)
        name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
        field = _VALUES[metric.kind]
        values = page.samples[metric.name].items()
        rows = [self._labels(metric.labels, labels) + _message(field, _double(1, value)) for labels, value in values]
        return _family(name, text=metric.text, kind=metric.kind, rows=rows)

    def _labels(self, names: Labels, values: Labels) -> bytes:
        encoded = self._encoded.get((names, values))
        if encoded is None:
            pairs = sorted(zip(names, values, strict=True))
            encoded = b"".join(_message(1, _text(1, name) + _text(2, value)) for name, value in pairs)
            self._encoded[names, values] = encoded
        return encoded


def encode_histogram(family: Family) -> bytes:
    """A histogram without labels of a registry of prometheus_client."""
    buckets = [(one.labels["le"], one.value) for one in family.samples if one.name.endswith("_bucket")]
    (total,) = (one.value for one in family.samples if one.name.endswith("_sum"))
    return _family(family.name, text=family.documentation, kind="histogram", rows=[_histogram(buckets, total)])


def _family(name: str, *, text: str, kind: str, rows: Sequence[bytes]) -> bytes:
    """With its length before it; nothing without rows, as a family is nothing without metrics."""
    if not rows:
        return b""
    body = _text(1, name) + _text(2, text) + _number(3, _TYPES[kind]) + b"".join(_message(4, row) for row in rows)
    return _varint(len(body)) + body


def _histogram(buckets: Sequence[tuple[str, float]], total: float) -> bytes:
    counted = b"".join(_message(3, _number(1, int(count)) + _double(2, float(edge))) for edge, count in buckets)
    return _message(_HISTOGRAM, _number(1, int(buckets[-1][1])) + _double(2, total) + counted)


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _message(field: int, body: bytes) -> bytes:
    return bytes((field << 3 | 2,)) + _varint(len(body)) + body


def _double(field: int, value: float) -> bytes:
    return bytes((field << 3 | 1,)) + pack("<d", value)


def _number(field: int, value: int) -> bytes:
    return bytes((field << 3,)) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the high bit."""
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def is_asked_for(accept: str) -> bool:
    """Whether a scraper prefers this format to every other."""
    ranges = [one.replace(" ", "").split(";") for one in accept.split(",")]
    best = max(ranges, key=_weight)
    return best[0] == "application/vnd.google.protobuf" and "encoding=delimited" in best


def _weight(range_: Sequence[str]) -> float:
    """`q` of a part of an Accept header; what cannot be read is not preferred."""
    (given,) = [one[2:] for one in range_ if one.startswith("q=")][:1] or ["1"]
    try:
        return float(given)
    except ValueError:
        return 0.0
