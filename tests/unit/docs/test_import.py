"""The recipes of docs/import.md, run as they stand there over small exports as their owners would have them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from producers.importer.problems import KINDS
from schemas.unknown_names import ABOUT_PEOPLE
from tests.support.imports import Imported, imported

DOC = (Path(__file__).parents[3] / "docs" / "import.md").read_text(encoding="utf-8")
EXPORTS = Path(__file__).parents[2] / "support" / "exports"
RECIPES = dict(re.findall(r"^### (.+?)\n.*?```yaml\n(.*?)```", DOC.split("## Recipes\n")[1], re.MULTILINE | re.DOTALL))

EXPECTED: dict[str, list[str]] = {
    "Shopify: orders as CSV": [
        "2025-03-06 11:39 order_paid shopify-#1002-paid 40.98 GBP",
        "2025-03-06 11:39 refund shopify-#1002-refund 40.98 GBP",
        "2025-03-07 19:08 order_paid shopify-#1001-paid 42.11 GBP",
        "2025-03-09 07:00 order_paid shopify-#1004-paid 20.00 GBP",
    ],
    "Shopify: orders of the API": [
        "2025-03-07 19:08 order_paid shopify-820982911946154508-paid 42.11 GBP",
        "2025-03-09 10:00 order_cancelled shopify-2-cancelled - -",
        "2025-03-10 10:00 refund shopify-509562969-refund 10.11 GBP",
    ],
    "Stripe: payments as CSV": [
        "2025-03-01 10:00 payment stripe-ch_1 49.00 eur",
        "2025-03-02 11:30 payment stripe-ch_2 1049.00 eur",
        "2025-03-03 12:00 payment_failed stripe-ch_3 - -",
        "2025-03-05 09:00 refund stripe-ch_2-refund 49.00 eur",
    ],
    "Stripe: charges of the API": [
        "2025-03-01 10:00 payment stripe-ch_1 4900m eur",
        "2025-03-02 11:30 payment stripe-ch_2 104900m eur",
        "2025-03-03 12:00 payment_failed stripe-ch_3 - -",
        "2025-03-05 09:00 refund stripe-re_1 4900m eur",
    ],
    "WooCommerce: orders": [
        "2025-04-01 06:15 order_paid woo-501-paid 64.90 EUR",
        "2025-04-01 07:00 order_paid woo-502-paid 20.00 EUR",
        "2025-04-02 15:45 order_paid woo-503-paid 30.00 EUR",
        "2025-04-02 15:45 refund woo-503-refund 30.00 EUR",
    ],
    "HubSpot: deals as CSV": [
        "2025-01-02 07:00 lead_created hubspot-9001-created 1200.50 EUR",
        "2025-01-05 08:00 lead_created hubspot-9002-created 5000 EUR",
        "2025-01-07 09:00 lead_created hubspot-9003-created 90 EUR",
        "2025-01-20 10:00 deal_lost hubspot-9002-lost - -",
        "2025-02-10 13:30 payment hubspot-9001-won 1200.50 EUR",
    ],
    "Pipedrive: deals as CSV": [
        "2025-01-01 09:00 lead_created pipedrive-77-created 1200.50 EUR",
        "2025-01-02 09:00 lead_created pipedrive-78-created 5000 EUR",
        "2025-01-03 09:00 lead_created pipedrive-79-created 90 EUR",
        "2025-01-09 12:00 deal_lost pipedrive-78-lost - -",
        "2025-01-20 09:59 payment pipedrive-77-won 1200.50 EUR",
    ],
    "amoCRM, Kommo, Bitrix24: deals as CSV": [
        "2025-01-15 07:30 lead_created amocrm-1001-created 150000.00 RUB",
        "2025-01-16 08:00 lead_created amocrm-1002-created 45500.50 RUB",
        "2025-01-17 09:45 lead_created amocrm-1003-created 12000.00 RUB",
        "2025-01-20 06:15 deal_lost amocrm-1002-lost - -",
        "2025-02-03 15:00 payment amocrm-1001-won 150000.00 RUB",
    ],
    "A bank's or 1C's statement": [
        "2025-02-02 21:00 payment bank-03.02.2025-17 150000.00 RUB",
        "2025-02-04 21:00 payment bank-05.02.2025-18 45500.50 RUB",
        "2025-02-06 21:00 refund bank-07.02.2025-19 5500.50 RUB",
    ],
    "GA4: the export to BigQuery": [
        "2025-03-01 10:00 page_view * - -",
        "2025-03-01 10:05 purchase * 19.9 EUR",
    ],
    "Segment and RudderStack: the archive": [
        "2025-03-01 10:00 identify m1 - -",
        "2025-03-01 10:05 order_completed m2 19.9 EUR",
    ],
    "PostHog: exported events": [
        "2025-03-01 10:00 page_view 0195-1 - -",
        "2025-03-01 10:05 purchase 0195-2 19.9 EUR",
    ],
    "Snowplow: enriched events and bad rows": [
        "2025-03-01 10:00 page_view e1 - -",
        "2025-03-01 10:02 lead_created e2 - -",
        "2025-03-01 10:05 order_completed e3 19.9 EUR",
        "2025-03-01 10:10 page_view e4 - -",
    ],
}
REFUSED = {
    "Stripe: charges of the API": [(5, "refused")],
    "Segment and RudderStack: the archive": [(3, "invalid_time")],
    "Snowplow: enriched events and bad rows": [(2, "unreadable")],
}


def brief(result: Imported) -> list[str]:
    """Time, name, id, amount and currency of every event."""
    return [line(event) for event in result.events]


def line(event: dict[str, Any]) -> str:
    from datetime import UTC, datetime

    properties = event["properties"]
    minor = f"{properties['value_minor']}m" if "value_minor" in properties else "-"
    at = datetime.fromtimestamp(event["occurred_at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    amount = properties.get("value", minor)
    return f"{at} {event['name']} {event['id']} {amount} {properties.get('currency', '-') if amount != '-' else '-'}"


def is_like(value: str, expected: str) -> bool:
    pattern = ".*".join(map(re.escape, expected.split("*")))
    return re.fullmatch(pattern, value) is not None


@pytest.mark.parametrize("title", list(EXPECTED))
def test_recipes_are_run_as_they_stand(title: str) -> None:
    looked_at = {expected.split()[2] for expected in EXPECTED[title]} - ABOUT_PEOPLE
    result = imported(RECIPES[title], EXPORTS, known_names=looked_at)
    lines = brief(result)
    assert len(lines) == len(EXPECTED[title]), lines
    assert [one for one, other in zip(lines, EXPECTED[title], strict=True) if not is_like(one, other)] == []
    assert result.said == REFUSED.get(title, [])


def test_every_recipe_and_kind_is_there() -> None:
    assert set(RECIPES) == set(EXPECTED)
    table = DOC.split("## What an import refuses")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == KINDS


def test_history_from_an_archive_means_what_the_client_would_have_sent() -> None:
    page, purchase = imported(RECIPES["GA4: the export to BigQuery"], EXPORTS).events
    assert page["anonymous_id"] == "111.222"
    assert page["properties"]["channel"] == "paid search"
    assert page["context"]["page"]["url"].startswith("https://shop.example.com/")
    assert (purchase["user_id"], purchase["properties"]["order_id"]) == ("u1", "T1")
    _, order = imported(RECIPES["Segment and RudderStack: the archive"], EXPORTS).events
    assert (order["user_id"], order["properties"]["channel"]) == ("u1", "organic search")


@pytest.mark.parametrize(("shape", "won"), [("hubspot", "9001"), ("pipedrive", "77")])
def test_deals_of_an_api_by_one_word(shape: str, won: str) -> None:
    result = imported(f"inputs: [{{file: {shape}-deals.json, shape: {shape}}}]", EXPORTS)
    assert result.said == []
    assert {(each["name"], each["contact_id"]) for each in result.events} == {
        ("lead_created", "301"),
        ("lead_created", "302"),
        ("payment", "301"),
        ("deal_lost", "302"),
    }
    (payment,) = [each for each in result.events if each["name"] == "payment"]
    assert payment["properties"]["order_id"] == won
    assert payment["properties"]["value"].startswith("1200.5")
