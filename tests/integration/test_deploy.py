"""What is shipped for Prometheus and Alertmanager, read by their own tools, and what a real Alertmanager mutes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.support.deployed import ROOT, RULES, alert_names, run_tool
from tests.support.http import plain_get
from tests.support.prometheus import running_alertmanager
from tests.support.waiting import wait_until

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


BUSINESS = {
    *("FunnelConversionDrop", "FunnelConversionDropOfValue", "FunnelEntriesDrop", "FunnelRevenueDrop"),
    *("FunnelAbandonmentRise", "FunnelLossReasonSurge", "FunnelSlaBreached", "FunnelDealsStuck"),
    "FunnelTargetOutOfReach",
}
TRACKING = {"FunnelTrackingBroken", "FunnelNoEvents", "FunnelAcceptedNotCounted", "FunnelSourceSilent"}
OF_ITS_FUNNEL = {
    **dict.fromkeys(("FunnelNoEvents", "FunnelTrackingBroken", "FunnelStitchingBroken"), BUSINESS),
    **dict.fromkeys(("FunnelEvidenceStale", "FunnelCanaryLate"), BUSINESS),
    "FunnelConversionDrop": {"FunnelConversionDropOfValue", "FunnelAbandonmentRise", "FunnelRevenueDrop"},
    "FunnelEntriesDrop": {"FunnelRevenueDrop"},
}
OF_ALL = {
    **dict.fromkeys(("FunnelExporterDown", "FunnelWorkerDown", "FunnelPartitionsUnowned"), BUSINESS | TRACKING),
    **dict.fromkeys(("FunnelWorkerStoreDown", "FunnelCollectorDown"), BUSINESS | TRACKING),
    **dict.fromkeys(("FunnelCollectorKafkaDown", "FunnelWatermarkStale"), BUSINESS | TRACKING),
    "FunnelRedisDown": {"FunnelWorkerStoreDown", "FunnelWatermarkStale", "FunnelWorkerLag"},
}
"""What each alert mutes, of its own funnel or of all; `FunnelCanaryLate` is muted by all of these too."""


class Muting:
    """A running Alertmanager that is told of alerts and asked which of them nobody hears of."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}/api/v2/alerts"

    def tell(self, names: Iterable[str], *, funnel: str, minutes: int = 60) -> None:
        """They fire for so long; negative: they are over."""
        ends_at = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
        labels = {"funnel": funnel, "version": "1", "stage": "visit"}
        alerts = [{"labels": {"alertname": name, **labels}, "endsAt": ends_at} for name in names]
        assert httpx.post(self._url, json=alerts, trust_env=False).status_code == 200

    def muted(self, funnel: str) -> set[str]:
        told = plain_get(self._url).json()
        return {
            alert["labels"]["alertname"]
            for alert in told
            if alert["labels"].get("funnel") == funnel and alert["status"]["inhibitedBy"]
        }


def test_a_broken_tracker_or_pipeline_mutes_what_it_explains_and_nothing_else(tmp_path: Path) -> None:
    every = alert_names()
    with running_alertmanager(tmp_path, "http://127.0.0.1:9") as address:
        muting = Muting(address)
        for cause, muted in OF_ITS_FUNNEL.items():
            others = every - OF_ITS_FUNNEL.keys() - OF_ALL.keys()
            muting.tell({cause, *(others | muted)}, funnel=cause)
            muting.tell(others | muted - OF_ITS_FUNNEL.keys(), funnel="other")
            what = f"what {cause} mutes"
            wait_until(lambda: muting.muted(cause) == muted, what=what)  # noqa: B023
        assert muting.muted("other") == set()
        for cause, muted in OF_ALL.items():
            # of two funnels: a broken tag of the same one would mute what the cause has to
            told = {"shop": (muted - BUSINESS) | {"FunnelCanaryLate", "FunnelManyRejects"}, "fair": muted & BUSINESS}
            for funnel, names in told.items():
                muting.tell(names, funnel=funnel)
            muting.tell([cause], funnel="")
            expected = told["shop"] - {"FunnelManyRejects"}, told["fair"]
            wait_until(lambda: (muting.muted("shop"), muting.muted("fair")) == expected, what=f"what {cause} mutes")  # noqa: B023
            for funnel, names in {**told, "": {cause}}.items():
                muting.tell(names, funnel=funnel, minutes=-1)


def test_amtool_accepts_the_receivers_that_the_page_shows(tmp_path: Path) -> None:
    shipped = (ROOT / "deploy/alertmanager/alertmanager.yml").read_text(encoding="utf-8")
    shown = (ROOT / "docs/alerts.md").read_text(encoding="utf-8").split("```yaml\nreceivers:\n")[1].split("```")[0]
    config = tmp_path / "alertmanager.yml"
    config.write_text(shipped.split("receivers:\n")[0] + "receivers:\n" + shown, encoding="utf-8")
    assert "3 receivers" in run_tool("amtool", "check-config", str(config))
