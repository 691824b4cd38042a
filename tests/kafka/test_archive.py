"""An archive killed with -9 again and again while a worker counts, on a broker that then loses half of its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.archive import Load, Proof
from funnelcast.stack.real_kafka import RealKafka
from tests.support.kafka import real_kafka

__all__ = ["real_kafka"]
pytestmark = pytest.mark.kafka


async def test_nothing_lost_nothing_double_and_nobody_named(real_kafka: RealKafka, tmp_path: Path) -> None:
    """What `python -m bench.archive` shows with a million events."""
    load = Load(events=8_000, people=1_000, kills=5, forget=10, seed=1, flush_rows=200, most_writes=4)
    shown = await Proof(real_kafka.bootstrap, load, directory=tmp_path).run()
    assert shown.is_exact, shown
    assert shown.kills == load.kills
    assert shown.forgotten_rows > 0
    assert shown.from_archive > load.events // 3
