"""What Prometheus and Alertmanager make of the story: who is called, with what text and cause, and who is not."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest

from tests.observability.history import DROPPED, SHOPS, SILENT, UNTAGGED
from tests.observability.story import STEP_MS, Story, key
from tests.support.command import run_command
from tests.support.http import plain_get
from tests.support.prometheus import answered

pytestmark = pytest.mark.observability

EXPECTED = {
    f"FunnelConversionDrop|{DROPPED}|visit|",
    f"FunnelTrackingBroken|{UNTAGGED}|visit|",
    f"FunnelTrackingBroken|{SILENT}|visit|",
}


def page_of(story: Story, name: str) -> dict[str, Any]:
    """The page about an alert, as the webhook got it."""
    answered(lambda: name in {key(page["labels"]) for page in story.receiver.pages()}, f"{name} at the webhook")
    return next(page for page in story.receiver.pages() if key(page["labels"]) == name)


def test_a_quiet_month_pages_nobody(story: Story) -> None:
    assert story.quiet_pages == []
    assert any(alert["receiver"] == "heartbeat" for alert in story.receiver.alerts)


def test_all_rules_are_healthy_and_every_target_that_runs_is_up(story: Story) -> None:
    rules = [rule for group in story.prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 30
    assert {rule["health"] for rule in rules} == {"ok"}
    up = {sample["metric"]["job"] for sample in story.prometheus.query("up == 1")}
    assert up == {"collector", "exporter", "prometheus", "worker"}


def test_a_drop_pages_with_its_numbers_and_a_cause_that_is_no_broken_tag(story: Story) -> None:
    page = page_of(story, f"FunnelConversionDrop|{DROPPED}|visit|")
    assert page["receiver"] == "now"
    assert page["labels"]["severity"] == "critical"
    texts = page["annotations"]
    assert texts["summary"] == f"Fewer people go on from visit of {DROPPED} than is normal"
    evidence = re.search(
        r"([\d.]+) nats .* fallen, from ([\d.]+)% to ([\d.]+)%: (\d+) of (\d+) went on", texts["description"]
    )
    assert evidence, texts["description"]
    nats, normal, now, went_on, entered = map(float, evidence.groups())
    assert now == pytest.approx(100 * went_on / entered, rel=0.01)
    assert nats > 6
    assert went_on / entered < 0.2
    assert 45 < normal < 56
    assert texts["cause"] == "conversion" or texts["cause"].startswith("channel=")


@pytest.mark.parametrize(("shop", "cause"), [(UNTAGGED, "tracking"), (SILENT, "silent")])
def test_a_tracking_outage_pages_as_such(story: Story, shop: str, cause: str) -> None:
    page = page_of(story, f"FunnelTrackingBroken|{shop}|visit|")
    assert (page["labels"]["cause"], page["receiver"]) == (cause, "now")
    assert page["annotations"]["summary"] == f"Tracking of {shop} is broken at visit"


def test_nobody_is_called_for_what_another_alert_explains(story: Story) -> None:
    for name in EXPECTED:
        page_of(story, name)
    assert {key(page["labels"]) for page in story.receiver.pages()} == EXPECTED
    told = plain_get(f"{story.alertmanager_url}/api/v2/alerts").json()
    muted = {key(alert["labels"]) for alert in told if alert["status"]["inhibitedBy"]}
    # a silent shop takes no money, and whoever does not go on pays nothing: both fire, and neither arrives
    assert muted >= {f"FunnelRevenueDrop|{SILENT}|payment|", f"FunnelRevenueDrop|{DROPPED}|payment|"}


@pytest.mark.parametrize("shop", SHOPS)
def test_a_back_test_of_the_same_events_gives_the_same_alerts(story: Story, shop: str) -> None:
    asked = ("--funnel", str(story.funnel(shop)), "--events", str(story.events(shop)), "--json")
    code, out, err = run_command("alerts", "backtest", *asked, state_dir=story.directory)
    assert code == 0, err
    alerts = [alert for alert in json.loads(out)["alerts"] if alert["severity"] != "none"]
    pages = [key(page["labels"]) for page in story.receiver.pages() if page["labels"]["funnel"] == shop]
    assert [f"{alert['name']}|{shop}|{alert['stage']}|{alert['dim']}" for alert in alerts] == pages
    for alert, name in zip(alerts, pages, strict=True):
        starts_ms = datetime.fromisoformat(alert["starts_at"]).timestamp() * 1000
        # the back-test judges every minute; who looks every quarter of an hour may miss what lasts one minute
        assert starts_ms <= story.first_seen[name] <= starts_ms + 3 * STEP_MS
        if alert["name"] == "FunnelTrackingBroken":
            assert alert["cause"] == page_of(story, name)["labels"]["cause"]
