"""The main job, black box: real history through the collector, the live shop, both reports, exit 0, nothing left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.oracle.cdnow import facts_of
from tests.support.command import start_command
from tests.support.http import plain_get
from tests.support.thorough import some
from tests.support.waiting import LIMIT, LONG_LIMIT, wait_until

HISTORY = Path(__file__).parents[2] / "producers" / "data" / "cdnow_master.txt.gz"


class Lines:
    """What a process says, line by line, as it comes."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self.seen: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: Iterator[bytes]) -> None:
        for line in stream:
            self.seen.append(line.decode(errors="replace").rstrip())

    def wait_for(self, pattern: str, limit: float = LIMIT) -> re.Match[str]:
        """First line that matches. Fails at the deadline."""

        def first() -> re.Match[str] | None:
            return next((match for line in self.seen if (match := re.search(pattern, line))), None)

        match: re.Match[str] = wait_until(first, limit=limit, what=lambda: "\n".join([pattern, *self.seen]))
        return match


def five_of(children: list[psutil.Process]) -> list[psutil.Process]:
    """The processes, once there are five."""
    return children if len(children) >= 5 else []


def _pasted(line: str) -> str:
    """What a line prints that was pasted into a terminal somewhere else."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("FUNNELCAST_")}
    done = subprocess.run(line, shell=True, cwd="/", env=clean, capture_output=True, text=True, check=False)  # noqa: S602
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_demo(tmp_path: Path) -> None:
    process = start_command("demo", state_dir=tmp_path, env={"DEMO_SECONDS": "14"})
    assert process.stdout is not None
    assert process.stderr is not None
    lines = Lines(iter(process.stdout))
    errors = Lines(iter(process.stderr))
    try:
        live = lines.wait_for(r"collector (http://\S+)  metrics (http://\S+)", LONG_LIMIT)
        curl = lines.wait_for(r"curl -s (\S+) -H 'X-Write-Key: (\S+)' -d '(.*)'")
        children = psutil.Process(process.pid).children(recursive=True)
        answer = httpx.post(curl[1], content=curl[3], headers={"X-Write-Key": curl[2]}, timeout=LIMIT)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
        assert "funnel" in plain_get(live[2]).text
        report, tail = (lines.wait_for(rf"^  (\S.* {name} --config \S+)$")[1] for name in ("report", "tail"))
        assert "impression" in _pasted(report)
        assert "accepted" in _pasted(f"{tail} --no-follow")
        assert process.wait(LIMIT) == 0, "\n".join(errors.seen)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    said = "\n".join(lines.seen)
    facts = facts_of(HISTORY)
    revenue = f"{facts.revenue_cents // 100:,}.{facts.revenue_cents % 100:02d} USD"
    assert said.count(f"{facts.customers:,} customers made {facts.purchases:,} purchases: {revenue}") == 2
    assert said.count(f"{facts.bought_again:,} bought again") == 2
    assert f"{facts.bought_again_within_180_days:,} of them within 180 days" in said
    assert re.search(r"live shop: [\d,]+ events counted once", said)
    assert re.search(r"events \d+/s +lag [\d,]+ records +freshness \d+\.\d s", said)
    assert psutil.wait_procs(children, timeout=LIMIT)[1] == []
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize("number", some([signal.SIGKILL, signal.SIGINT], every=2))
def test_nothing_is_left_of_a_demo_that_is_broken_off(tmp_path: Path, number: signal.Signals) -> None:
    process = start_command("demo", state_dir=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    lines = Lines(iter(process.stdout))
    Lines(iter(process.stderr))
    try:
        lines.wait_for("counting the CDNOW")
        started = psutil.Process(process.pid)
        children = wait_until(lambda: five_of(started.children(recursive=True)))
        process.send_signal(number)
        process.wait(LIMIT)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    assert psutil.wait_procs(children, timeout=LIMIT)[1] == []
