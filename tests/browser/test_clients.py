"""The browser clients of other vendors, unchanged, on real pages: what they were told is what Redis holds."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.installation import Installation
from tests.browser.shop import Shop, page

HERE = Path(__file__).parent
QUERY = "?utm_source=news&utm_campaign=may"


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The clients, bundled as a site would."""
    directory = tmp_path_factory.mktemp("clients")
    subprocess.run(["node", "build.mjs", "clients", str(directory)], cwd=HERE, check=True)
    return {f"/{one.name}": one.read_bytes() for one in directory.glob("*.js")}


@pytest.fixture
def shop(shop: Shop, bundles: dict[str, bytes]) -> Shop:
    """A site with a page for each client."""
    shop.scripts = bundles
    shop.pages = {path.removesuffix(".js"): page(f"<script src={path}></script>", title="Shop") for path in bundles}
    return shop


def by_name(site: Installation) -> dict[str, dict[str, Any]]:
    """The newest record of each name."""
    return {one["name"]: one for one in site.records()}


def person_of(record: dict[str, Any]) -> tuple[bool, str | None, bool]:
    """(has a device, the account, has a contact)."""
    return "anonymous_id" in record, record.get("user_id"), "contact_id" in record


@pytest.mark.parametrize("delivery", ["single", "batching"])
def test_segment(site: Installation, shop: Shop, tab: Page, delivery: str) -> None:
    batching = "{strategy: 'batching', config: {size: 3, timeout: 500}}" if delivery == "batching" else "undefined"
    tab.goto(f"{shop.url}/segment{QUERY}")
    tab.evaluate(
        f"""async () => {{
        const analytics = window.analytics = AnalyticsBrowser.load(
          {{writeKey: '{site.key}', cdnURL: '{site.url}'}},
          {{integrations: {{'Segment.io': {{deliveryStrategy: {batching}}}}}}});
        await analytics.page('Home');
        await analytics.track('Custom', {{value: '19.990'}});
        await analytics.identify('u7', {{email: 'ann@example.com', plan: 'pro'}});
        await analytics.track('Lead', {{manager: 'Bob'}});
        }}"""
    )
    site.counted(page=1, custom=1, identify=1, lead=1)
    events = by_name(site)
    assert person_of(events["page"]) == (True, None, False)
    assert person_of(events["identify"]) == (True, "u7", True)
    assert person_of(events["lead"]) == (True, "u7", False)
    assert len({one["anonymous_id"] for one in events.values()}) == 1
    assert events["page"]["context"]["page"]["title"] == "Shop"
    properties = events["custom"]["properties"]
    assert (properties["value"], properties["source"], properties["campaign"]) == ("19.990", "news", "may")
    assert "ann@example.com" not in str(site.records())


def test_segment_leaves_in_the_middle_of_a_batch(site: Installation, shop: Shop, tab: Page) -> None:
    tab.goto(f"{shop.url}/segment")
    tab.evaluate(
        f"""async () => {{
        const analytics = window.analytics = AnalyticsBrowser.load(
          {{writeKey: '{site.key}', cdnURL: '{site.url}'}},
          {{integrations: {{'Segment.io': {{deliveryStrategy: {{strategy: 'batching', config: {{size: 50}}}}}}}}}});
        await analytics.ready();
        await Promise.all([0, 1, 2, 3, 4].map((n) => analytics.track('Custom', {{n}})));  // all are in the batch
        }}"""
    )
    tab.close()
    site.counted(custom=5)


def test_snowplow(site: Installation, shop: Shop, tab: Page) -> None:
    tab.goto(f"{shop.url}/snowplow{QUERY}")
    tab.evaluate(
        f"""() => {{
        snowplow.newTracker('sp', '{site.url}', {{appId: '{site.key}', bufferSize: 2}});
        snowplow.trackPageView();
        snowplow.trackStructEvent({{category: 'shop', action: 'cta_click', label: 'buy', value: 3}});
        snowplow.setUserId('u7');
        snowplow.trackSelfDescribingEvent({{event: {{
          schema: 'iglu:com.example/lead/jsonschema/1-0-0', data: {{manager: 'Bob', email: 'ann@example.com'}}}}}});
        snowplow.trackSelfDescribingEvent({{event: {{
          schema: 'iglu:com.example/custom/jsonschema/1-0-0', data: {{value: '19.990'}}}}}});
        snowplow.flushBuffer();
        }}"""
    )
    site.counted(page_view=1, cta_click=1, lead=1, custom=1)
    events = by_name(site)
    assert person_of(events["page_view"]) == (True, None, False)
    assert person_of(events["lead"]) == (True, "u7", True)
    assert len({one["anonymous_id"] for one in events.values()}) == 1
    assert events["cta_click"]["properties"]["label"] == "buy"
    properties = events["custom"]["properties"]
    assert (properties["value"], properties["source"], properties["campaign"]) == ("19.990", "news", "may")
    assert events["page_view"]["context"]["page"]["title"] == "Shop"


@pytest.mark.parametrize("compression", ["false", "true"], ids=["plain", "gzip"])
def test_posthog(site: Installation, shop: Shop, tab: Page, compression: str) -> None:
    tab.goto(f"{shop.url}/posthog{QUERY}")
    tab.evaluate(
        f"""() => {{
        posthog.init('{site.key}', {{api_host: '{site.url}', opt_out_useragent_filter: true, autocapture: false,
          disable_compression: !{compression}, request_batching: false, capture_pageview: false,
          capture_pageleave: false}});
        posthog.capture('$pageview');
        posthog.capture('custom', {{value: '19.990'}});
        posthog.identify('u7', {{email: 'ann@example.com'}});
        posthog.capture('lead', {{manager: 'Bob'}});
        }}"""
    )
    site.counted(page_view=1, custom=1, identify=1, lead=1)
    events = by_name(site)
    assert person_of(events["page_view"]) == (True, None, False)
    assert person_of(events["identify"]) == (True, "u7", True)
    assert person_of(events["lead"])[:2] == (True, "u7")
    assert len({one["anonymous_id"] for one in events.values()}) == 1
    properties = events["custom"]["properties"]
    assert (properties["value"], properties["source"], properties["campaign"]) == ("19.990", "news", "may")
    assert events["page_view"]["context"]["page"]["url"].startswith(f"{shop.url}/posthog")


def test_posthog_leaves_in_the_middle_of_a_batch(site: Installation, shop: Shop, tab: Page) -> None:
    tab.goto(f"{shop.url}/posthog")
    tab.evaluate(
        f"""() => {{
        posthog.init('{site.key}', {{api_host: '{site.url}', opt_out_useragent_filter: true, autocapture: false,
          capture_pageview: false, capture_pageleave: false, advanced_disable_flags: true}});
        for (let n = 0; n < 5; n++) posthog.capture('custom', {{n}});
        }}"""
    )
    tab.goto("about:blank")
    site.counted(custom=5)
