"""docs/api.md names what the collector does: every reason as a heading, every metric, every path."""

from __future__ import annotations

import re
from pathlib import Path

from producers.collector.metrics import CollectorMetrics
from producers.collector.routes import all_routes
from producers.collector.spool_metrics import show_spool
from producers.formats.segment import LETTERS
from producers.ingest.checks import Ingest
from schemas.reasons import RejectReason

DOCS = Path(__file__).parents[3] / "docs"
DOC, CLIENTS = ((DOCS / name).read_text() for name in ("api.md", "clients.md"))


def test_every_reason_is_a_heading_and_no_other_is() -> None:
    assert re.findall(r"^### (\w+)$", DOC, re.MULTILINE) == [reason.value for reason in RejectReason]


def test_every_path_is_there() -> None:
    told = DOC + CLIENTS
    paths = [*all_routes(Ingest()).paths(), "/healthz", "/readyz", "/metrics"]
    short = {f"/v1/{letter}" for letter in LETTERS}
    for path in paths:
        assert f"`{path}`" in told or path.rstrip("*") in told or path in short, path


def test_every_metric_is_there() -> None:
    metrics = CollectorMetrics(pending=lambda: 0, is_up=lambda: True)
    show_spool(metrics, None)
    for family in metrics.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        short = name.removeprefix("funnelcast_collector")
        assert f"`{name}" in DOC or f"`{short}`" in DOC, name
