"""docs/api.md names what the collector does: every reason as a heading, every metric, every path."""

from __future__ import annotations

import re
from pathlib import Path

from producers.formats.segment_message import TYPES
from producers.metrics import CollectorMetrics
from producers.spool_metrics import show_spool
from schemas.reasons import RejectReason

DOC = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def test_every_reason_is_a_heading_and_no_other_is() -> None:
    assert re.findall(r"^### (\w+)$", DOC, re.MULTILINE) == [reason.value for reason in RejectReason]


def test_every_path_is_there() -> None:
    for path in ["/healthz", "/readyz", "/metrics", "/v1/events", "/v1/batch", *(f"/v1/{kind}" for kind in TYPES)]:
        assert f"`{path}`" in DOC


def test_every_metric_is_there() -> None:
    metrics = CollectorMetrics(pending=lambda: 0, is_up=lambda: True)
    show_spool(metrics, None)
    for family in metrics.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        short = name.removeprefix("funnelcast_collector")
        assert f"`{name}" in DOC or f"`{short}`" in DOC, name
