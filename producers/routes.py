"""Which paths the collector serves: one line for each format. Composes formats, decides nothing."""

from __future__ import annotations

import uuid

from producers.formats.native import Native
from producers.formats.port import Routes
from producers.formats.segment import LETTERS, TYPES, Segment, SegmentBatches, SegmentSingle
from producers.ingest import Ingest


def all_routes(ingest: Ingest) -> Routes:
    """A fresh table of every format."""
    routes = Routes()
    routes.add("POST", "/v1/events", Native(ingest))
    _segment(routes, ingest)
    return routes


def _segment(routes: Routes, ingest: Ingest) -> None:
    segment = Segment(ingest, lambda: f"api-{uuid.uuid4()}")
    batches = SegmentBatches(segment, ingest.limits.events)
    for path in ("/v1/batch", "/v1/b", "/v1/import"):
        routes.add("POST", path, batches, label="/v1/batch")
    for kind in sorted(TYPES):
        routes.add("POST", f"/v1/{kind}", SegmentSingle(segment, kind))
    for letter, kind in LETTERS.items():
        routes.add("POST", f"/v1/{letter}", SegmentSingle(segment, kind), label=f"/v1/{kind}")
