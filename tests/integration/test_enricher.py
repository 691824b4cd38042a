"""Hooks of CRMs from the collector through Kafka and the enricher, as processes. That they are exact
whatever is killed is held on a real broker (tests/kafka/test_enricher.py)."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from schemas.record import decode_any
from tests.support.fake_crm import FakeCrm
from tests.support.hooked_processes import (
    Processes,
    events_of,
    hooked_processes,
    send_lead,
)
from tests.support.stack import StackAddresses
from tests.support.waiting import until
from tests.support.webhooks import write_hooks


@pytest.fixture
def crm() -> Iterator[FakeCrm]:
    with FakeCrm() as server:
        yield server


@pytest.fixture
async def processes(
    embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path, crm: FakeCrm
) -> AsyncIterator[Processes]:
    async with hooked_processes(embedded_stack.kafka, fresh_space, tmp_path, crm) as running:
        yield running


async def test_what_is_under_way_at_sigterm_is_worked_on_by_the_next(processes: Processes, crm: FakeCrm) -> None:
    collector = processes.collector
    crm.is_away = True
    await send_lead(collector, 1, "add", 1_735_725_600)
    crm.leads["1"] = {"contact": "31"}
    processes.start()

    async def asked() -> bool:
        return bool(crm.asked)

    await until(asked)
    assert processes.end(signal.SIGTERM) == 0
    assert await events_of(collector) == []
    crm.is_away = False
    processes.start()

    async def written() -> bool:
        return [decode_any(value).get("id") is not None for _, value, _ in await events_of(collector)].count(True) == 1

    await until(written)


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "funnelcast", "enricher", "--kafka", "127.0.0.1:1", "--state-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no webhooks: give --webhooks" in done.stderr
    hooks = write_hooks(tmp_path / "w.yaml", {"name": "s", "provider": "stripe", "secrets": ["whsec_x"]})
    done = subprocess.run([*command, "--webhooks", str(hooks)], capture_output=True, text=True, check=False)
    assert done.returncode == 75
    assert "the hooks cannot be read" in done.stderr
