"""A whole stack with its canary: the worker stands still, and the canary says so; no number of business knows of it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.command import run_command, start_command
from tests.support.http import plain_get
from tests.support.stack import read_line
from tests.support.waiting import LIMIT, wait_until

SERIES = re.compile(r'^funnelcast_canary_(\w+)\{funnel="sales",version="1"\} (\S+)$', re.MULTILINE)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process, and where the metrics of its canary are."""
    arguments = ("stack", "up", "--all", "--canary", "--dir", str(tmp_path))
    process = start_command(
        *arguments, state_dir=tmp_path, env={"FUNNELCAST_FUNNELS": "sales", "FUNNELCAST_CANARY__EVERY": "0.5"}
    )
    try:
        yield process, json.loads(read_line(process))["canary"]  # type: ignore[arg-type]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT)


def test_a_worker_that_stands_still_makes_the_canary_late(
    stack: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    process, url = stack

    def now() -> dict[str, float]:
        return {name: float(value) for name, value in SERIES.findall(plain_get(url).text)}

    wait_until(lambda: now()["events_counted"] >= 12, what=lambda: f"two walks counted: {now()}")
    (worker,) = [one for one in psutil.Process(process.pid).children(recursive=True) if "worker" in one.cmdline()]
    worker.suspend()
    wait_until(lambda: now()["age_seconds"] > 6, what=lambda: f"late: {now()}")
    late = now()
    assert late["events_sent"] > late["events_counted"]
    assert late["events_missing"] == 0  # late is not lost
    worker.resume()
    wait_until(
        lambda: now()["events_counted"] > late["events_sent"] and now()["age_seconds"] < 6,
        what=lambda: f"fresh again: {now()}",
    )
    assert now()["events_missing"] == 0
    code, out, err = run_command("report", "--funnel", "sales", "--json", state_dir=tmp_path)
    assert code == 0, err
    document = json.loads(out)
    assert document["input"]["left_out"]["canary"] > late["events_sent"]
    assert (document["input"]["accepted"], document["input"]["persons"]) == (0, 0)
    assert document["counters"] == {}
