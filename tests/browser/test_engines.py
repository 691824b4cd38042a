"""What must hold in every engine: the snippet's visit, delivery and refusals, and the live page. Each test runs in
Chromium, in Firefox and in WebKit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.browser.engines import Profile, Tab
from tests.browser.installation import Installation, until
from tests.browser.shop import BODY, Shop, page
from tests.browser.watched import WatchedShop, event, expected, numbers
from tests.support.shop import shop_events

READY = "typeof funnelcast.flush === 'function'"
WAITING = "Object.keys(localStorage).filter((name) => name.startsWith('funnelcast.e')).length"


def opened(profile: Profile, url: str) -> Tab:
    """A page whose script is there."""
    tab = profile.new_page()
    tab.goto(url)
    tab.wait_for_function(READY)
    return tab


def test_a_visit_of_two_pages_with_a_click_an_impression_and_a_lead(
    site: Installation, shop: Shop, profile: Profile
) -> None:
    head = site.snippet()["html"]
    shop.pages = {"/": page(head, BODY), "/next": page(head)}
    tab = opened(profile, f"{shop.url}/?utm_source=spring-news&utm_campaign=may&token=secret3#secret4")
    tab.click("#buy b")
    tab.click("#ask button")
    site.counted(page_view=1, cta_click=1, lead=1, hero_view=1)
    tab.click("#next")
    tab.wait_for_function("location.pathname === '/next'")
    site.counted(page_view=2, cta_click=1, lead=1, hero_view=1)
    records = site.records()
    assert not re.search(r"secret|Hilton|X 12|ann@|bob@|901820", str(records), flags=re.I)
    assert len({one["anonymous_id"] for one in records}) == 1
    assert {one["properties"].get("source") for one in records} == {"spring-news"}
    (lead,) = [one for one in records if one["name"] == "lead"]
    assert len(lead["contact_id"]) == 64


def test_one_bad_event_of_twenty_costs_itself(site: Installation, shop: Shop, profile: Profile) -> None:
    shop.pages = {"/": page(site.snippet("--attribute", "manual")["html"])}
    tab = opened(profile, shop.url)
    refused = site.metric("events_total", 'outcome="rejected"')
    half = r"'half an emoji \ud83d'"
    tab.evaluate(
        "Array.from({length: 20}, (_, n) =>"
        f" n === 7 ? funnelcast.track('') : funnelcast.track('custom', n === 11 ? {{n: {half}}} : {{n}}))"
    )
    site.counted(custom=19)
    until(lambda: tab.evaluate(WAITING) == 0, "nothing waits")
    assert site.metric("events_total", 'outcome="rejected"') == refused + 1
    assert "half an emoji \ufffd" in [one["properties"]["n"] for one in site.records()]


def test_a_page_that_is_closed_in_the_middle_of_a_batch(site: Installation, shop: Shop, profile: Profile) -> None:
    shop.pages = {"/": page(site.snippet()["html"])}
    tab = opened(profile, shop.url)
    site.counted(page_view=1)
    tab.evaluate("Array.from({length: 7}, (_, n) => funnelcast.track('custom', {n}))")
    assert tab.evaluate(WAITING) == 7
    tab.close()
    site.counted(page_view=1, custom=7)
    tab = opened(profile, shop.url)  # what was trusted to the browser is not sent again
    site.counted(page_view=2, custom=7)
    assert tab.evaluate(WAITING) == 0


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedShop]:
    """With the small shop's events of the last two hours."""
    shop = WatchedShop(tmp_path_factory.mktemp("watched"))
    try:
        shop.start()
        shop.count(shop_events(shop.now_ms))
        yield shop
    finally:
        shop.end()


def shows(tab: Tab, wanted: dict[str, list[str]]) -> None:
    """Wait for these numbers."""
    until(lambda: numbers(tab) == wanted, lambda: f"{wanted}, are {numbers(tab)}")


def test_the_live_page_has_the_numbers_of_the_report(watched: WatchedShop, profile: Profile) -> None:
    tab = profile.new_page()
    tab.goto(f"{watched.url}#period=all")
    for _ in range(2):
        shows(tab, expected(watched.report("--grain", "total", "--dim", "")))
        now_ms = watched.now_ms
        watched.count([event("impression", f"{now_ms}-{n}", now_ms) for n in range(100)])
    assert tab.evaluate("document.querySelector('#pulse').className") == "pulse live"
    assert tab.evaluate("document.querySelectorAll('#trend canvas').length") >= 1
