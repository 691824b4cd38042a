"""What a process imports before it works: each library costs every start, and every process of a test is a start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

NOT_NEEDED = {"rich", "pygments", "requests", "tldextract", "numpy", "duckdb"}
OF_COLLECTOR = ("funnelcast.logs", "funnelcast.settings.show", "funnelcast.ingest", "producers.collector.app")
OF_NO_FILE = NOT_NEEDED | {"redis", "aiokafka", "ua_parser", "crawleruseragents", "funnelcast.settings.processes"}
EVENT = '{"id": "e1", "name": "click", "occurred_at_ms": 1735725600000, "user_id": "u1"}\n'


def test_a_collector_starts_without_what_it_does_not_need() -> None:
    code = f"import sys, {', '.join(OF_COLLECTOR)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert NOT_NEEDED.isdisjoint(done.stdout.split())
    assert "structlog" in done.stdout.split()


def test_a_replay_of_a_file_imports_no_client_and_nothing_that_draws(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(EVENT)
    code = (
        "import sys\nfrom funnelcast.cli import app\n"
        f"try:\n    app(['replay', '--funnel', 'sales', '--events', {str(events)!r}, '--json'])\n"
        "except SystemExit as done:\n    assert not done.code\nprint(*sys.modules, file=sys.stderr)"
    )
    env = {
        name: value for name, value in os.environ.items() if not name.startswith("FUNNELCAST_")
    }  # none to be checked
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=env)
    assert '"click"' in done.stdout
    assert OF_NO_FILE.isdisjoint(done.stderr.split())
