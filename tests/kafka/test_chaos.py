"""A short disturbed run on Apache Kafka whose broker is killed, too: counters, merges and told journeys are exact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from funnelcast.chaos.faults import BROKER_KINDS, KINDS
from tests.support.command import run_command

pytestmark = pytest.mark.kafka


def test_with_broker_kills_nothing_is_lost_or_double(tmp_path: Path) -> None:
    faults = str(len(KINDS) + len(BROKER_KINDS))  # every kind once
    arguments = ("--seconds", "45", "--faults", faults, "--events", "30000", "--seed", "3", "--real-kafka", "--json")
    code, out, err = run_command("chaos", *arguments, state_dir=tmp_path, limit=880)
    assert code == 0, err
    verdict = json.loads(out)
    assert (verdict["lost"], verdict["double"], verdict["exact"]) == (0, 0, True)
    assert (verdict["journeys"]["lost"], verdict["journeys"]["double"]) == (0, 0)
    assert verdict["merged"] > 1_000
    assert {*BROKER_KINDS} <= {fault["kind"] for fault in verdict["faults"]}
