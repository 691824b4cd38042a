"""The enricher's consumer group on a real broker: exact with kill -9 and a failing CRM."""

from __future__ import annotations

import signal
from collections import deque
from pathlib import Path

import pytest

from funnelcast.stack.real_kafka import RealKafka
from schemas.record import decode_any
from tests.support.fake_crm import FakeCrm
from tests.support.hooked_processes import (
    Processes,
    check_exact_with_kill_and_faults,
    events_of,
    hooked_processes,
    send_lead,
)
from tests.support.kafka import own_kafka, real_kafka
from tests.support.waiting import until

__all__ = ["own_kafka", "real_kafka"]
pytestmark = pytest.mark.kafka


async def test_hooks_are_counted_exactly(real_kafka: RealKafka, fresh_space: str, tmp_path: Path) -> None:
    with FakeCrm() as crm:
        async with hooked_processes(real_kafka.bootstrap, fresh_space, tmp_path, crm) as processes:
            await check_exact_with_kill_and_faults(processes, crm)


async def test_a_broker_that_dies_costs_no_hook(own_kafka: RealKafka, fresh_space: str, tmp_path: Path) -> None:
    """20 leads; the broker is killed with -9 while the enricher works on them, and two enrichers share the rest."""
    with FakeCrm() as crm:
        async with hooked_processes(own_kafka.bootstrap, fresh_space, tmp_path, crm) as processes:
            for number in range(20):
                crm.leads[str(number)] = {"contact": str(100 + number)}
                await send_lead(processes.collector, number, "add", 1_735_725_600)
            crm.faults = deque(["hang"] * 4)
            processes.start("--window", "6")
            await until(lambda: len(crm.asked) > 8)
            await own_kafka.restart(signal.SIGKILL)
            second = Processes(processes.collector, processes.webhooks, processes.directory)
            second.start()
            try:

                async def are_all_there() -> bool:
                    is_ready = await second.status("/readyz") == await processes.status("/readyz") == 200
                    return is_ready and len(await ids_of(processes)) == 20

                await until(are_all_there)
                assert second.end(signal.SIGTERM) == 0
                assert processes.end(signal.SIGTERM) == 0
            finally:
                second.stop()


async def ids_of(processes: Processes) -> set[tuple[str, str]]:
    """(id, person) of everything in the events topic."""
    events = [decode_any(value) for _, value, _ in await events_of(processes.collector)]
    return {(one["id"], one["contact_id"]) for one in events if "link" not in one}
