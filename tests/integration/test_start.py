"""What a process imports before it works: each library costs every start, and every process of a test is a start."""

from __future__ import annotations

import subprocess
import sys

NOT_NEEDED = {"rich", "pygments", "requests", "tldextract", "numpy", "duckdb"}
OF_COLLECTOR = ("funnelcast.logs", "funnelcast.settings.show", "funnelcast.ingest", "producers.collector.app")


def test_a_collector_starts_without_what_it_does_not_need() -> None:
    code = f"import sys, {', '.join(OF_COLLECTOR)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert NOT_NEEDED.isdisjoint(done.stdout.split())
    assert "structlog" in done.stdout.split()
