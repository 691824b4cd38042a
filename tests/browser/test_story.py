"""One customer, all the way: two ad clicks and forms in Chromium, two deals in HubSpot, a payment by Stripe. The report
shows two deals, each under the channel that brought it, with its money, its manager, and why one was lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hubspot.utils.signature import Signature
from playwright.sync_api import Page
from stripe import WebhookSignature

from tests.browser.installation import Installation, until
from tests.browser.shop import Shop, loaded, page
from tests.support.fake_crm import TOKEN, FakeCrm
from tests.support.stack import StackAddresses
from tests.support.waiting import LIMIT
from tests.support.webhooks import write_hooks

HUBSPOT_SECRET, STRIPE_SECRET = "hubspot-client-secret-test", "whsec_test_0123456789abcdef"
HUBSPOT_URL = "https://collect.example.com/v1/webhooks/hubspot"
EMAIL = "c77@example.com"
"""Of HubSpot's contact 77 (`FakeCrm`)."""
ADS = {
    "google": "utm_source=google&utm_medium=cpc&utm_campaign=spring&gclid=abc",
    "newsletter": "utm_source=newsletter&utm_medium=email&utm_campaign=june",
}
FORM = (
    f"<form id=ask name=contact data-funnel-form=inquiry onsubmit='return false'>"
    f"<input name=email type=email value={EMAIL}><button>Send</button></form>"
)
LOST, WON = "5501", "5502"


@pytest.fixture
def crm() -> Iterator[FakeCrm]:
    with FakeCrm() as crm:
        crm.leads = {LOST: {"contact": "77", "loss": "Price"}, WON: {"contact": "77"}}
        yield crm


@pytest.fixture
def business(embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path, crm: FakeCrm) -> Iterator[Installation]:
    """Collector, worker and enricher; two partitions and more between a person's ids."""
    api = {"token": TOKEN, "url": crm.url, "rate": 60}
    hubspot = {"name": "hubspot", "provider": "hubspot", "secrets": [HUBSPOT_SECRET], "public_url": HUBSPOT_URL}
    stripe = {"name": "stripe", "provider": "stripe", "secrets": [STRIPE_SECRET]}
    hooks = write_hooks(tmp_path / "webhooks.yaml", {**hubspot, "api": api}, stripe)
    installation = Installation(embedded_stack, fresh_space, tmp_path, funnels="deal8", partitions=4, webhooks=hooks)
    try:
        installation.start()
        yield installation
    finally:
        installation.end()


class Sales:
    """What the vendors send, signed by their own libraries."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._number = 0

    def moved(self, deal: str, stage: str) -> None:
        """A deal came to a stage of HubSpot's."""
        self._number += 1
        now = time.time_ns() // 1_000_000
        change: dict[str, Any] = {"eventId": self._number, "subscriptionId": 12, "portalId": 62515, "occurredAt": now}
        change |= {"subscriptionType": "deal.propertyChange", "objectId": int(deal), "propertyName": "dealstage"}
        body = orjson.dumps([{**change, "propertyValue": stage}])
        signature = Signature.get_signature(HUBSPOT_SECRET, body.decode(), "v3", HUBSPOT_URL, "POST", str(now))
        stamp = {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": str(now)}
        self._post("hubspot", body, stamp)

    def paid(self, minor: int) -> None:
        """A checkout of Stripe's, which knows the e-mail and no deal."""
        now = int(time.time()) + 1  # Stripe tells whole seconds: after the last change of the deal, as with people
        session = {"id": "cs_1", "object": "checkout.session", "amount_total": minor, "created": now}
        session |= {"currency": "eur", "customer_details": {"email": EMAIL}, "livemode": True, "mode": "payment"}
        session |= {"payment_intent": "pi_1", "payment_status": "paid", "status": "complete", "metadata": {}}
        event = {"id": "evt_1", "object": "event", "created": now, "type": "checkout.session.completed"}
        body = orjson.dumps({**event, "livemode": True, "data": {"object": session}}).decode()
        header = WebhookSignature.generate_signature_header(body, STRIPE_SECRET, now)
        self._post("stripe", body.encode(), {"Stripe-Signature": header})

    def _post(self, name: str, body: bytes, headers: dict[str, str]) -> None:
        answer = httpx.post(f"{self._url}/v1/webhooks/{name}", content=body, headers=headers, timeout=LIMIT)
        assert (answer.status_code, answer.json().get("accepted")) == (200, 1), answer.text


def test_two_deals_of_one_contact_from_the_click_to_the_money(business: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(business.snippet()["html"], FORM)}
    sales = Sales(business.url)

    def counted(**wanted: int) -> None:
        until(lambda: business.stages("deal8") == wanted, lambda: f"{wanted}, are {business.stages('deal8')}")

    def asks(ad: str) -> None:
        tab.goto(f"{shop.url}/?{ADS[ad]}")
        loaded(tab)
        tab.click("#ask button")
        tab.evaluate("funnelcast.flush()")

    asks("google")
    counted(first_inquiry=1)
    sales.moved(LOST, "appointmentscheduled")
    counted(first_inquiry=1, consultation=1)
    sales.moved(LOST, "closedlost")
    until(lambda: _cell(business, "").get("consultation", {}).get("lost.cohort"), "the first deal lost")
    asks("newsletter")  # at first a repeat in the deal that there was; the deal that it leads to takes it
    until(lambda: _cell(business, "")["first_inquiry"]["events"] == 2, "the second form counted")
    assert business.stages("deal8") == {"first_inquiry": 1, "consultation": 1}
    sales.moved(WON, "contractsent")
    counted(first_inquiry=2, consultation=1, offer=1)
    sales.paid(900_00)
    counted(first_inquiry=2, consultation=1, offer=1, payment=1)

    search, email = "channel=Paid Search".lower(), "channel=email"
    for dim, stages in {
        search: {"first_inquiry": 1, "consultation": 1},
        email: {"first_inquiry": 1, "offer": 1, "payment": 1},
        f"{search}|manager=ann seller": {"consultation": 1},
        f"{email}|manager=ann seller": {"offer": 1},
    }.items():
        assert {
            stage: cell["entries"] for stage, cell in _cell(business, dim).items() if "entries" in cell
        } == stages, dim
    assert _cell(business, search)["consultation"]["lost.cohort"] == {"price": 1}
    assert "payment" not in _cell(business, search)
    payment = _cell(business, email)["payment"]
    assert (payment["orders"], payment["revenue"]) == ({"EUR": 1}, {"EUR": 900_00})
    assert _cell(business, email)["offer"]["won"] == 1

    person = business.json("person", EMAIL, "--json")
    assert person["deals"] == [LOST, WON]
    assert {name[0] for name in person["ids"]} == {"c", "a"}
    states = {journey["deal"]: (journey["state"], journey["entries"][0]["stage"]) for journey in person["journeys"]}
    assert states == {LOST: ("lost", "first_inquiry"), WON: ("won", "first_inquiry")}


def _cell(business: Installation, dim: str) -> dict[str, Any]:
    cells: dict[str, Any] = business.report("deal8")["counters"]["total"]["all"]
    return dict(cells.get(dim, {}))
