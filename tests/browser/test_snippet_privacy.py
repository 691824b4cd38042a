"""funnelcast.js and what people allow: nothing is stored or sent before, and nothing is left after."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.installation import Installation
from tests.browser.shop import BODY, Shop, loaded, page

STORED = "[document.cookie, ...Object.keys(localStorage), ...Object.keys(sessionStorage)].filter(Boolean).sort()"


def watched(tab: Page, site: Installation) -> list[str]:
    """Addresses on the collector that events were sent to, as they come."""
    seen: list[str] = []
    tab.on("request", lambda one: seen.append(one.url) if one.url.startswith(f"{site.url}/v1/browser") else None)
    return seen


def much_later(tab: Page, shop: Shop) -> None:
    """Longer than a batch waits; then whatever the page has asked for before is seen."""
    tab.clock.fast_forward(5_000)
    with tab.expect_response(f"{shop.url}/later"):
        tab.evaluate("void fetch('/later')")


def test_pending_waits_in_memory_and_granted_tells_it(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet("--consent", "pending")["html"], BODY)}
    sent = watched(tab, site)
    tab.clock.install()
    tab.goto(f"{shop.url}/?utm_source=news")
    loaded(tab)
    before_ms = tab.evaluate("Date.now()")
    tab.click("#buy")
    tab.evaluate("funnelcast.identify('u7')")
    much_later(tab, shop)
    assert (tab.evaluate(STORED), sent) == ([], [])
    tab.evaluate("history.replaceState({}, '', '/')")
    tab.evaluate("funnelcast.consent('granted')")
    site.counted(page_view=2, cta_click=1, identify=1, hero_view=1)
    records = site.records()
    assert all(one["properties"]["source"] == "news" for one in records)
    assert records[0]["occurred_at_ms"] <= before_ms
    assert tab.evaluate(STORED)[0].startswith("funnelcast")
    tab.click("#buy")
    site.counted(page_view=2, cta_click=2, identify=1, hero_view=1)


def test_pending_then_denied_sends_nothing(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet("--consent", "pending")["html"], BODY)}
    sent = watched(tab, site)
    tab.goto(shop.url)
    loaded(tab)
    tab.click("#buy")
    tab.evaluate("funnelcast.consent('denied'), funnelcast.track('custom'), funnelcast.flush()")
    tab.click("#next")
    tab.goto(shop.url)
    loaded(tab)
    assert (tab.evaluate(STORED), sent) == ([], [])
    site.counted()


def test_granted_then_denied_leaves_nothing(site: Installation, shop: Shop, context: BrowserContext) -> None:
    shop.pages = {"/": page(site.snippet()["html"])}
    tab = context.new_page()
    tab.clock.install()
    tab.goto(f"{shop.url}/?utm_source=news")
    site.counted(page_view=1)
    names = [one.partition("=")[0] for one in tab.evaluate(STORED)]
    assert names == ["funnelcast.first", "funnelcast.id", "funnelcast.last", "funnelcast_id"]
    (cookie,) = context.cookies()
    assert (cookie.get("sameSite"), cookie.get("path"), cookie.get("httpOnly")) == ("Lax", "/", False)
    assert 360 < (cookie.get("expires", 0) - tab.evaluate("Date.now() / 1000")) / 86_400 <= 366
    sent = watched(tab, site)
    tab.evaluate("funnelcast.identify('u7'), funnelcast.track('custom'), funnelcast.consent('denied')")
    assert (tab.evaluate(STORED), context.cookies()) == ([], [])
    tab.evaluate("funnelcast.track('custom'), funnelcast.flush()")
    much_later(tab, shop)
    assert sent == []
    tab.evaluate("funnelcast.consent('granted'), funnelcast.track('custom')")
    site.counted(page_view=1, custom=1)
    assert len({one["anonymous_id"] for one in site.records()}) == 2
    assert "user_id" not in site.records()[1]


@pytest.mark.parametrize(
    ("said", "arguments", "is_counted"),
    [
        ("navigator.globalPrivacyControl = true", "", False),
        ("navigator.globalPrivacyControl = true", "ignore-gpc", True),
        ("navigator.globalPrivacyControl = false", "", True),
    ],
)
def test_what_the_browser_says_for_its_user(
    site: Installation, shop: Shop, context: BrowserContext, said: str, arguments: str, is_counted: bool
) -> None:
    name, _, value = said.removeprefix("navigator.").partition(" = ")
    context.add_init_script(f"Object.defineProperty(navigator, '{name}', {{get: () => {value}}})")
    more = ("--attribute", arguments) if arguments else ()
    shop.pages = {"/": page(site.snippet(*more)["html"])}
    tab = context.new_page()
    sent = watched(tab, site)
    tab.goto(shop.url)
    loaded(tab)
    tab.evaluate("funnelcast.consent('granted'), funnelcast.track('custom'), funnelcast.flush()")
    if is_counted:
        site.counted(page_view=1, custom=1)
    else:
        assert (tab.evaluate(STORED), sent) == ([], [])
        site.counted()


def test_a_driven_browser_is_not_counted(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet()["html"].replace(' data-allow-bots=""', ""), BODY)}
    sent = watched(tab, site)
    tab.goto(shop.url)
    loaded(tab)
    tab.click("#buy")
    tab.evaluate("funnelcast.track('custom'), funnelcast.flush()")
    assert (tab.evaluate(STORED), sent) == ([], [])


def test_a_browser_that_blocks_its_storage(site: Installation, shop: Shop, context: BrowserContext) -> None:
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }});"
        "Object.defineProperty(document, 'cookie', {get: () => '', set() {}})"
    )
    shop.pages = {"/": page(site.snippet()["html"], BODY)}
    tab = context.new_page()
    tab.goto(f"{shop.url}/?utm_source=news")
    loaded(tab)
    tab.click("#buy")
    tab.evaluate("funnelcast.identify('u7'), funnelcast.track('custom')")
    site.counted(page_view=1, cta_click=1, identify=1, custom=1, hero_view=1)
    assert len({one["anonymous_id"] for one in site.records()}) == 1
    assert all(one["properties"]["source"] == "news" for one in site.records())


def test_a_browser_whose_storage_is_full(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(""), "/full": page(site.snippet()["html"], BODY)}
    tab.goto(shop.url)
    tab.evaluate(
        "() => { try { for (let n = 0; ; n++) localStorage[n] = 'x'.repeat(262144) } catch {}"
        " try { for (let n = 0; ; n++) localStorage['y' + n] = 'x' } catch {} }"
    )
    tab.goto(f"{shop.url}/full?utm_source=news")
    loaded(tab)
    tab.click("#buy")
    site.counted(page_view=1, cta_click=1, hero_view=1)
    assert all(one["properties"]["source"] == "news" for one in site.records())


def test_nobody_else_is_asked(site: Installation, shop: Shop, context: BrowserContext) -> None:
    asked: set[str] = set()
    context.on("request", lambda one: asked.add("/".join(one.url.split("/")[:3])))
    shop.pages = {"/": page(site.snippet()["html"], BODY)}
    tab = context.new_page()
    tab.goto(shop.url)
    tab.click("#buy")
    tab.click("#ask button")
    site.counted(page_view=1, cta_click=1, lead=1, hero_view=1)
    assert asked == {shop.url, site.url}


def test_sub_domains_share_the_visitor(chromium: Browser, site: Installation, shop: Shop) -> None:
    shop.pages = {"/": page(site.snippet()["html"])}
    port = shop.url.rpartition(":")[2]
    context = chromium.new_context()
    try:
        tab = context.new_page()
        tab.goto(f"http://www.shop.localhost:{port}/")
        site.counted(page_view=1)
        tab.goto(f"http://pay.shop.localhost:{port}/")
        site.counted(page_view=2)
    finally:
        context.close()
    assert len({one["anonymous_id"] for one in site.records()}) == 1


def test_a_cookieless_page_stores_nothing_and_its_visitor_is_one_for_the_day(
    site: Installation, shop: Shop, tab: Page
) -> None:
    shop.pages = {
        "/": page(site.snippet("--cookieless")["html"], BODY),
        "/two": page(site.snippet("--cookieless")["html"]),
    }
    for views, path in enumerate(("/?utm_source=news", "/two"), start=1):
        tab.goto(shop.url + path)
        loaded(tab)
        tab.evaluate("funnelcast.flush()")
        site.counted(page_view=views, hero_view=1)
    assert tab.evaluate(STORED) == []
    visitors = {one["anonymous_id"] for one in site.records()}
    assert len(visitors) == 1
    assert visitors.pop().startswith("day-")


def test_a_page_that_debugs_says_what_is_sent_and_answered(site: Installation, shop: Shop, tab: Page) -> None:
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    shop.pages = {"/": page(site.snippet("--debug")["html"])}
    tab.goto(shop.url)
    loaded(tab)
    site.counted(page_view=1)
    assert any(one.startswith("funnelcast sent") and "page_view" in one for one in said)
    assert any(one.startswith("funnelcast 200") and '"status":"accepted"' in one for one in said)
