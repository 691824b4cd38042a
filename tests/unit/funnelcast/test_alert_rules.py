"""Alert rules for an installation: the file that ships, links, and what a definition can fire."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from funnelcast.alert_rules import alert_rules
from funnelcast.links import Links, check_address
from schemas.funnel.load import load_funnels, parse_funnel
from tests.support.deployed import ROOT

LINKS = Links("https://grafana.example/", "https://docs.example/runbook.html")
PLAIN = parse_funnel("name: plain\nconversion_window: 1d\nstages: [{name: a, on: a}, {name: b, on: b}]\n")


def alerts(text: str) -> dict[str, dict[str, str]]:
    document = yaml.safe_load(text)
    return {rule["alert"]: rule for group in document["groups"] for rule in group["rules"]}


def test_the_file_that_ships_is_what_the_command_writes() -> None:
    shipped = ROOT / "deploy/prometheus/rules/alerts.yml"
    advice = f"change funnelcast/data/alerts.yaml, then run: funnelcast alerts rules -o {shipped.relative_to(ROOT)}"
    assert shipped.read_text(encoding="utf-8") == alert_rules(), advice


def test_links_begin_with_the_addresses_that_are_given() -> None:
    text = alert_rules(links=LINKS)
    for name, rule in alerts(text).items():
        notes: dict[str, str] = rule["annotations"]  # type: ignore[assignment]
        assert notes["runbook_url"] == f"https://docs.example/runbook.html#{name.lower()}"
        assert notes.get("dashboard_url", "https://grafana.example/d/").startswith("https://grafana.example/d/")
    with pytest.raises(ValueError, match="no address"):
        check_address("grafana.example")


def test_a_story_links_there_too_and_what_people_annotated_stays() -> None:
    said = "Near it: see, docs/runbook.md#x"
    look = "Look: /d/funnelcast-funnel?var-funnel=a, docs/runbook.md#funnelrevenuedrop"
    story: Any = {"text": f"{said}\n{look}\nProof: funnelcast"}
    assert LINKS.in_story(story)["text"].split("\n") == [
        said,
        "Look: https://grafana.example/d/funnelcast-funnel?var-funnel=a, "
        "https://docs.example/runbook.html#funnelrevenuedrop",
        "Proof: funnelcast",
    ]
    assert Links().in_story(story) == story


def test_a_funnel_has_the_rules_that_it_can_fire_and_no_others() -> None:
    shipped, plain = alerts(alert_rules()), alerts(alert_rules([PLAIN], has_targets=False))
    assert set(shipped) - set(plain) == {
        "FunnelConversionDropOfValue",
        "FunnelRevenueDrop",
        "FunnelLossReasonSurge",
        "FunnelSlaBreached",
        "FunnelDealsStuck",
        "FunnelTargetOutOfReach",
    }
    assert 'funnel_evidence_nats{funnel=~"plain", kind="conversion"' in plain["FunnelConversionDrop"]["expr"]
    assert plain["FunnelRedisDown"] == shipped["FunnelRedisDown"]
    both = alerts(alert_rules([PLAIN, *load_funnels(["sales"])]))
    assert 'funnel=~"sales"' in both["FunnelRevenueDrop"]["expr"]
    assert 'funnel=~"plain|sales"' in both["FunnelStageNeverEntered"]["expr"]
