"""What is shipped for Prometheus and Alertmanager, read by their own tools: promtool and amtool."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.deployed import ROOT, RULES, run_tool

TESTS_OF_RULES = sorted((ROOT / "deploy/prometheus/tests").glob("*.yml"))


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_promtool_accepts_the_rules(path: Path) -> None:
    run_tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(path))


def test_promtool_accepts_the_configuration() -> None:
    run_tool("promtool", "check", "config", "deploy/prometheus/prometheus.yml")


@pytest.mark.parametrize("path", TESTS_OF_RULES, ids=lambda path: path.name)
def test_alerts_fire_and_stay_silent_as_their_tests_state(path: Path) -> None:
    run_tool("promtool", "test", "rules", str(path))


def test_amtool_accepts_the_alertmanager_and_alerts_go_where_they_should() -> None:
    config = "deploy/alertmanager/alertmanager.yml"
    run_tool("amtool", "check-config", config)
    routes = {
        ("alertname=FunnelWatchdog", "severity=none"): "heartbeat",
        ("alertname=FunnelNoEvents", "severity=critical"): "now",
        ("alertname=FunnelConversionDropOfValue", "severity=warning"): "morning",
    }
    for labels, receiver in routes.items():
        assert receiver in run_tool("amtool", "config", "routes", "test", f"--config.file={config}", *labels)
