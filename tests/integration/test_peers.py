"""The job of `make bench-peers`: its reference, what our report is read as, and the CPU that is charged."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from bench.peers.job import differences, records
from bench.peers.measure import cpu_of
from bench.peers.ours import FUNNEL, cells_of
from bench.peers.reference import right_cells
from bench.peers.table import Table
from funnelcast.replay.memory import Refusals, ReplayJob, replay_through_memory
from schemas.funnel.load import load_funnels

BUSY_SECONDS = 0.3
PARENT = f"""
import subprocess, sys
busy = "import time\\nwhile time.process_time() < {BUSY_SECONDS}: pass"
subprocess.run([sys.executable, "-S", "-c", busy], check=True)
print("ended", flush=True)
sys.stdin.read()
"""


async def test_the_reference_counts_what_the_product_counts(tmp_path: Path) -> None:
    values = [value for _, value, _ in records(3_000, people=300)]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(values))
    job = ReplayJob(funnels=tuple(load_funnels([str(FUNNEL)])), references=(str(FUNNEL),), events=file)
    (document,) = await replay_through_memory(job, Refusals(file))
    counted = cells_of(document)
    random.Random(1).shuffle(values)
    right = right_cells(values)
    assert differences(counted, right) == ""
    assert len(set(values)) < len(values), "the log has no copies: nothing has to be dropped"
    assert all(sum(counts[number] for counts in right.values()) > 100 for number in range(3))


def test_a_wrong_cell_is_named() -> None:
    right = {("click", "web"): (3, 2, 1), ("lead", "web"): (1, 1, 0)}
    told = differences({("click", "web"): (4, 2, 1)}, right)
    assert told == (
        "2 cells of 2 are wrong: click/web: (4, 2, 1) instead of (3, 2, 1); lead/web: None instead of (1, 1, 0)"
    )


def test_children_that_have_ended_are_charged() -> None:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ended\n"
        assert cpu_of([parent.pid]) >= BUSY_SECONDS
        parent.communicate()


def test_a_contender_that_failed_is_said_plainly() -> None:
    table = Table()
    table.loop(2.0)
    table.fail("Some engine", "javac is not there\n/var/log/job.log")
    told = "Some engine, not measured in 1 of 1 repetitions: javac is not there"
    assert told in table.markdown()
    assert "job.log" not in table.markdown()
    assert f"{told}\n/var/log/job.log" in table.text()
