"""docs/webhooks.md says what the code does: every vendor's map, every member of the file, every metric."""

from __future__ import annotations

import re
from pathlib import Path

from producers.webhooks.config import Api, Hook
from producers.webhooks.enricher_metrics import EnricherMetrics
from producers.webhooks.providers import PROVIDERS
from producers.webhooks.signatures import WINDOW_MS
from schemas.funnel.load import load_funnel
from schemas.funnel.presets import preset_names
from schemas.properties import ORDER_CHANGES
from tests.support.rows import rows

DOC = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOC, re.MULTILINE | re.DOTALL))
TITLES = {
    "stripe": "Stripe",
    "shopify": "Shopify",
    "hubspot": "HubSpot",
    "pipedrive": "Pipedrive",
    "amocrm": "amoCRM",
    "kommo": "Kommo",
    "bitrix24": "Bitrix24",
    "generic": "Generic",
}
OWN_NAMES = {"dispute", "subscription_cancelled"}
"""Events of the default maps for funnels of one's own."""


@rows("provider", list(PROVIDERS))
def test_the_map_of_every_vendor_is_that_of_the_code(provider: str) -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (?:`(\w+)`|-) \|$", SECTIONS[TITLES[provider]], re.MULTILINE)
    assert {key: event or None for key, event in rows} == dict(PROVIDERS[provider].stages)


def test_the_default_maps_lead_to_events_that_the_presets_know() -> None:
    known = set(OWN_NAMES) | ORDER_CHANGES
    for funnel in (load_funnel(name) for name in preset_names()):
        known |= {rule.event for stage in funnel.stages for rule in stage.on} | set(funnel.refunds)
        known |= {rule.event for lost in funnel.lost for rule in lost.on}
    for provider in PROVIDERS.values():
        assert {event for event in provider.stages.values() if event} <= known


def test_every_member_of_the_file_is_described() -> None:
    for name in Hook.model_fields:
        assert f"| `{name}` |" in DOC
    for name in Api.model_fields:
        assert f"`{name}`" in SECTIONS["The enricher"]


def test_rates_window_and_metrics_are_those_of_the_code() -> None:
    rates = {name: provider.rate for name, provider in PROVIDERS.items() if provider.api is not None}
    assert rates == {"amocrm": 7.0, "kommo": 7.0, "bitrix24": 2.0, "hubspot": 10.0}
    assert "amoCRM, Kommo 7; Bitrix24 2; HubSpot 10" in DOC
    assert f"more than {WINDOW_MS // 60_000} minutes" in DOC
    for family in EnricherMetrics().registry.collect():
        assert f"`{family.name}" in DOC
