"""Rules, configuration and metrics, as Prometheus 3 and vmalert read them."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from tests.readers.programs import PROMETHEUS, PROMTOOL, VMALERT
from tests.support.deployed import ROOT, RULES
from tests.support.go import GoTool, built
from tests.support.prometheus import Hurry, answered, running_prometheus
from tests.support.running_exporter import fill_space, running_exporter
from tests.support.valkey import ValkeyServer

pytestmark = pytest.mark.readers
NATIVE = {
    "scrape_native_histograms": True,
    "convert_classic_histograms_to_nhcb": True,
    "always_scrape_classic_histograms": True,
}
SHIPPED = ROOT / "deploy/prometheus"


def read(tool: GoTool, *words: str | Path) -> str:
    """What it says; it is content."""
    done = subprocess.run([built(tool), *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_3_accepts_the_rules_and_the_configuration() -> None:
    read(PROMTOOL, "check", "rules", "--lint=all", "--lint-fatal", *RULES)
    read(PROMTOOL, "check", "config", SHIPPED / "prometheus.yml")


@pytest.mark.parametrize("path", sorted((SHIPPED / "tests").glob("*.yml")), ids=lambda path: str(path.stem))
def test_rules_fire_and_stay_silent_in_prometheus_3_as_well(path: Path) -> None:
    assert "SUCCESS" in read(PROMTOOL, "test", "rules", path)


def test_vmalert_accepts_the_rules() -> None:
    words = [f"-rule={path}" for path in RULES]
    said = read(VMALERT, *words, "-dryRun", "-rule.validateExpressions", "-rule.validateTemplates")
    assert "error" not in said.lower(), said


def test_a_scraper_that_asks_gets_native_histograms_with_the_edges_that_everything_is_counted_by(
    tmp_path: Path,
) -> None:
    valkey = ValkeyServer(tmp_path)
    valkey.start()
    try:
        asyncio.run(fill_space(valkey.url, "native", time.time_ns() // 1_000_000))
        with running_exporter(tmp_path, valkey.url, "native") as exporter:
            targets = {"exporter": [exporter.url.removeprefix("http://")]}
            hurry = Hurry(of_jobs=NATIVE)
            with running_prometheus(tmp_path, targets, hurry=hurry, command=[str(built(PROMETHEUS))]) as server:
                answered(lambda: server.number('up{job="exporter"}') == 1, "a scrape")
                name = 'funnel_stage_duration_seconds%s{stage="impression", to="click"}'
                native, classic = name % "", name % "_bucket"
                assert server.number(f"histogram_count({native})") == 120
                assert server.number(f"histogram_sum({native})") == server.number(name % "_sum")
                rules = [rule for group in server.get("rules")["groups"] for rule in group["rules"]]
                assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
                for quantile in (0.1, 0.5, 0.99):
                    halves = [server.number(f"histogram_quantile({quantile}, {one})") for one in (native, classic)]
                    assert halves[0] == halves[1] is not None
    finally:
        valkey.kill()
