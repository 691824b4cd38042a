"""A short disturbed run: every counter equals the oracle's. The long one is `make test-chaos`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from funnelcast.chaos.faults import BROKER_KINDS, KINDS
from funnelcast.chaos.run import ChaosPlan
from tests.support.command import run_command


def test_every_kind_of_fault_comes_before_any_comes_again() -> None:
    kinds = ChaosPlan(seconds=1, seed=4, faults=2 * len(KINDS), events=1).kinds(with_broker=False, with_valkey=True)
    assert sorted(kinds[: len(KINDS)]) == sorted(KINDS) == sorted(kinds[len(KINDS) :])
    again = ChaosPlan(seconds=9, seed=4, faults=3, events=5).kinds(with_broker=False, with_valkey=True)
    assert again == kinds[:3]
    with_broker = ChaosPlan(seconds=1, seed=4, faults=10, events=1).kinds(with_broker=True, with_valkey=False)
    assert set(with_broker) == {kind for kind in (*KINDS, *BROKER_KINDS) if not kind.startswith("valkey")}


@pytest.mark.chaos
def test_disturbed_run_is_exact(tmp_path: Path) -> None:
    arguments = ("--seconds", "30", "--faults", "8", "--events", "30000", "--seed", "5", "--json")
    code, out, err = run_command("chaos", *arguments, state_dir=tmp_path)
    assert code == 0, err
    verdict = json.loads(out)
    assert (verdict["lost"], verdict["double"], verdict["exact"]) == (0, 0, True)
    assert verdict["merged"] > 1_000
    assert verdict["forwards"] > verdict["merged"]
    assert (verdict["journeys"]["lost"], verdict["journeys"]["double"]) == (0, 0)
    assert verdict["journeys"]["changes"] > 10_000
    assert len(verdict["faults"]) == 8
    assert verdict["events"] == 30_000
