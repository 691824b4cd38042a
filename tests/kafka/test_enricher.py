"""The enricher's consumer group on a real broker: exact with kill -9 and a failing CRM."""

from __future__ import annotations

from pathlib import Path

import pytest

from funnelcast.realkafka import RealKafka
from tests.support.fake_crm import FakeCrm
from tests.support.hooked_processes import check_exact_with_kill_and_faults, hooked_processes
from tests.support.kafka import real_kafka

__all__ = ["real_kafka"]
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def test_hooks_are_counted_exactly(real_kafka: RealKafka, fresh_space: str, tmp_path: Path) -> None:
    with FakeCrm() as crm:
        async with hooked_processes(real_kafka.bootstrap, fresh_space, tmp_path, crm) as processes:
            await check_exact_with_kill_and_faults(processes, crm)
