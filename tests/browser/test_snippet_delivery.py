"""funnelcast.js while things fail: pages that end, tabs that share, a network or a collector that is away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.gate import Gate
from tests.browser.installation import Installation, until
from tests.browser.shop import Shop, page
from tests.support.http import plain_get

MANUAL = ("--attribute", "manual")
KEPT = "Object.keys(localStorage).filter((name) => name.startsWith('funnelcast.e')).length"


def opened(tab: Page, url: str) -> Page:
    """The page, when its script is there."""
    tab.goto(url)
    tab.wait_for_function("typeof funnelcast.flush === 'function'")
    return tab


def tracked(tab: Page, count: int) -> None:
    """That many events."""
    tab.evaluate(f"for (let n = 0; n < {count}; n++) funnelcast.track('custom', {{n}})")


def unanswered(tab: Page) -> int:
    """How many events wait in the browser."""
    waiting = tab.evaluate(KEPT)
    assert isinstance(waiting, int)
    return waiting


@pytest.mark.parametrize("way", ["fetch", "beacon"])
def test_a_page_that_is_closed_in_the_middle_of_a_batch(
    site: Installation, shop: Shop, context: BrowserContext, way: str
) -> None:
    if way == "beacon":  # as browsers without `keepalive`
        context.add_init_script("delete Request.prototype.keepalive")
    shop.pages = {"/": page(site.snippet()["html"])}
    tab = opened(context.new_page(), shop.url)
    site.counted(page_view=1)
    tracked(tab, 7)
    assert unanswered(tab) == 7
    tab.close()
    site.counted(page_view=1, custom=7)
    tab = opened(context.new_page(), shop.url)  # what was trusted to the browser is not sent again
    site.counted(page_view=2, custom=7)
    assert unanswered(tab) == 0


def test_a_page_that_is_left_before_its_first_answer(site: Installation, shop: Shop, context: BrowserContext) -> None:
    shop.pages = {"/": page(site.snippet()["html"])}
    tab = opened(context.new_page(), shop.url)
    tracked(tab, 3)
    tab.close()
    opened(context.new_page(), shop.url)
    site.counted(page_view=2, custom=3, duplicates=True)


def test_a_hidden_page_sends_at_once(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet(*MANUAL)["html"])}
    tab.clock.install()
    opened(tab, shop.url)
    tracked(tab, 1)
    site.counted(custom=1)
    tab.clock.pause_at(tab.evaluate("Date.now()") / 1_000 + 1)  # no timer fires: no batch is due
    with tab.expect_request("**/v1/browser"):
        tab.evaluate(
            "funnelcast.track('custom');"
            "Object.defineProperty(document, 'visibilityState', {configurable: true, get: () => 'hidden'});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
    site.counted(custom=2)


def test_a_page_view_waits_until_the_page_is_seen(site: Installation, shop: Shop, context: BrowserContext) -> None:
    context.add_init_script(
        "Object.defineProperty(document, 'visibilityState', {configurable: true, get: () => window.state || 'hidden'});"
    )
    shop.pages = {"/": page(site.snippet()["html"])}
    tab = opened(context.new_page(), shop.url)
    tracked(tab, 1)
    site.counted(custom=1)
    tab.evaluate("window.state = 'visible'; document.dispatchEvent(new Event('visibilitychange'))")
    site.counted(custom=1, page_view=1)


def test_nothing_is_stored_or_sent_while_a_page_is_prerendered(
    site: Installation, shop: Shop, context: BrowserContext
) -> None:
    context.add_init_script(
        "window.early = true; Object.defineProperty(document, 'prerendering', {get: () => window.early});"
        "Object.defineProperty(document, 'visibilityState', {get: () => window.early ? 'hidden' : 'visible'})"
    )
    shop.pages = {"/": page(site.snippet()["html"])}
    tab = opened(context.new_page(), shop.url)
    tracked(tab, 2)
    assert (tab.evaluate("localStorage.length"), context.cookies()) == (0, [])
    tab.evaluate(
        "window.early = false; document.dispatchEvent(new Event('prerenderingchange'));"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    site.counted(custom=2, page_view=1)


def test_offline_then_online(site: Installation, shop: Shop, context: BrowserContext, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet()["html"])}
    opened(tab, shop.url)
    site.counted(page_view=1)
    context.set_offline(True)
    tracked(tab, 12)
    tab.evaluate("history.pushState({}, '', '/offline')")
    until(lambda: unanswered(tab) == 13, "everything waits")
    context.set_offline(False)
    site.counted(page_view=2, custom=12)
    until(lambda: unanswered(tab) == 0, "nothing waits")


def test_a_page_that_is_closed_offline_is_told_by_the_next(
    site: Installation, shop: Shop, context: BrowserContext
) -> None:
    shop.pages = {"/": page(site.snippet()["html"])}
    tab = opened(context.new_page(), shop.url)
    site.counted(page_view=1)
    context.set_offline(True)
    tracked(tab, 4)
    tab.close()
    context.set_offline(False)
    opened(context.new_page(), shop.url)
    site.counted(page_view=2, custom=4)


def test_a_collector_that_is_down_for_a_while(own_site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(own_site.snippet()["html"])}
    opened(tab, shop.url)
    own_site.counted(page_view=1)
    own_site.stop_collector()
    tracked(tab, 25)
    until(lambda: tab.evaluate("+localStorage['funnelcast.pause']") > 0, "a pause after the first failure")
    assert unanswered(tab) == 25
    own_site.start_collector()
    own_site.counted(page_view=1, custom=25)


def test_a_reload_and_a_restart_of_the_browser_while_the_collector_is_down(
    own_site: Installation, shop: Shop, context: BrowserContext
) -> None:
    shop.scripts = {"/funnelcast.js": plain_get(f"{own_site.url}/funnelcast.js").content}
    settings = f'data-key="{own_site.key}" data-host="{own_site.url}/" data-allow-bots'
    shop.pages = {"/": page(f"<script src=/funnelcast.js {settings}></script>")}
    own_site.stop_collector()
    tab = opened(context.new_page(), shop.url)
    tracked(tab, 3)
    tab.reload()
    tracked(tab, 2)
    tab.close()
    own_site.start_collector()
    opened(context.new_page(), shop.url)
    own_site.counted(page_view=3, custom=5)


@pytest.fixture
def gate(site: Installation) -> Iterator[Gate]:
    """Before the collector."""
    with Gate(site.url) as gate:
        yield gate


def behind(gate: Gate, site: Installation, shop: Shop, tab: Page) -> None:
    """Open a page that talks to the collector through the gate."""
    shop.pages = {"/": page(site.snippet(*MANUAL, url=gate.url)["html"])}
    opened(tab, shop.url)


def pause_ms(tab: Page) -> float:
    """How long nothing is sent."""
    pause = tab.evaluate("Math.max(0, (localStorage['funnelcast.pause'] || 0) - Date.now())")
    assert isinstance(pause, int | float)
    return pause


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503])
def test_what_was_not_taken_is_sent_again(gate: Gate, site: Installation, shop: Shop, tab: Page, status: int) -> None:
    gate.status, gate.left = status, 2
    behind(gate, site, shop, tab)
    tracked(tab, 3)
    site.counted(custom=3)
    assert len(gate.bodies) == 3


def test_the_collector_says_how_long_to_wait(gate: Gate, site: Installation, shop: Shop, tab: Page) -> None:
    gate.left, gate.headers = 1, {"Retry-After": "12"}
    behind(gate, site, shop, tab)
    tracked(tab, 1)
    until(lambda: gate.bodies, "the first request")
    until(lambda: pause_ms(tab) > 0, "an answer")
    tab.reload()  # a new page waits no shorter
    opened(tab, shop.url)
    assert 0 < pause_ms(tab) <= 14_500
    assert len(gate.bodies) == 1
    site.counted(custom=1)
    assert len(gate.bodies) == 2


@pytest.mark.parametrize("status", [400, 404, 413])
def test_a_refused_request_costs_no_event_that_was_not_judged(
    gate: Gate, site: Installation, shop: Shop, tab: Page, status: int
) -> None:
    gate.status, gate.left = status, 1
    behind(gate, site, shop, tab)
    tracked(tab, 5)
    site.counted(custom=5)
    until(lambda: unanswered(tab) == 0, "nothing waits")
    assert [size(body) for body in gate.bodies] == [5, 2, 3]


def test_an_event_that_is_refused_alone_is_dropped(gate: Gate, site: Installation, shop: Shop, tab: Page) -> None:
    gate.status, gate.left = 400, 2
    behind(gate, site, shop, tab)
    tracked(tab, 2)
    site.counted(custom=1)
    until(lambda: unanswered(tab) == 0, "nothing waits")
    assert [size(body) for body in gate.bodies] == [2, 1, 1]


@pytest.mark.parametrize("before", [0, 4, 9])
def test_an_event_that_is_nested_too_deep_costs_itself(
    gate: Gate, site: Installation, shop: Shop, tab: Page, before: int
) -> None:
    """The collector judges it alone, so nothing is asked twice."""
    behind(gate, site, shop, tab)
    tracked(tab, before)
    tab.evaluate("let deep = []; for (let n = 0; n < 2000; n++) deep = [deep]; funnelcast.page({deep})")
    tracked(tab, 9 - before)
    site.counted(custom=9, duplicates=True)
    until(lambda: unanswered(tab) == 0, "nothing waits")
    assert tab.evaluate("localStorage['funnelcast.most']") is None
    assert len(gate.bodies) <= 3  # as it was tracked in three steps


def test_the_next_page_goes_on_where_one_was_left(gate: Gate, site: Installation, shop: Shop, tab: Page) -> None:
    gate.status, gate.left, gate.headers = 400, 1, {"Retry-After": "3"}
    behind(gate, site, shop, tab)
    tracked(tab, 8)
    until(lambda: tab.evaluate("localStorage['funnelcast.most']") == "4", "half of them are next")
    opened(tab, shop.url)
    site.counted(custom=8)
    assert [size(body) for body in gate.bodies] == [8, 4, 4]


def size(body: bytes) -> int:
    """How many events a request has."""
    return len(json.loads(body)["events"])


def test_two_tabs_send_everything_once(site: Installation, shop: Shop, context: BrowserContext) -> None:
    shop.pages = {"/": page(site.snippet()["html"])}
    tabs = [opened(context.new_page(), shop.url) for _ in range(3)]
    site.counted(page_view=3)
    context.set_offline(True)
    for tab in tabs:
        tracked(tab, 5)
    context.set_offline(False)
    site.counted(page_view=3, custom=15, duplicates=True)
    assert len({one["anonymous_id"] for one in site.records()}) == 1
    assert unanswered(tabs[0]) == 0


def test_the_queue_is_capped_by_count_age_and_bytes(gate: Gate, site: Installation, shop: Shop, tab: Page) -> None:
    gate.left, gate.headers = 1, {"Retry-After": "600"}
    behind(gate, site, shop, tab)
    tab.evaluate("localStorage['funnelcast.e' + (Date.now() - 8 * 864e5) + '.old'] = '{}'")
    tracked(tab, 3)
    until(lambda: pause_ms(tab) > 100_000, "a long pause")
    tracked(tab, 560)
    tab.evaluate("delete localStorage['funnelcast.pause'], funnelcast.flush()")
    until(lambda: unanswered(tab) == 0, "nothing waits")
    site.counted(custom=500)
    gate.left = 1
    tracked(tab, 1)
    until(lambda: pause_ms(tab) > 100_000, "a long pause")
    tab.evaluate("for (let n = 0; n < 60; n++) funnelcast.page({text: 'x'.repeat(30000)})")
    tab.evaluate("delete localStorage['funnelcast.pause'], funnelcast.flush()")
    until(lambda: unanswered(tab) == 0, "nothing waits")
    site.counted(custom=500, page_view=32)


def test_what_cannot_be_told_costs_the_page_nothing(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet(*MANUAL)["html"])}
    opened(tab, shop.url)
    tab.evaluate("const ring = {}; ring.ring = ring; funnelcast.track('custom', ring)")
    tab.evaluate("funnelcast.track('custom', {n: 1n}), funnelcast.track('custom', {n: 2})")
    site.counted(custom=1)


def test_a_long_queue_goes_in_several_requests(gate: Gate, site: Installation, shop: Shop, tab: Page) -> None:
    gate.left, gate.headers = 1, {"Retry-After": "3"}
    behind(gate, site, shop, tab)
    tracked(tab, 1)
    until(lambda: pause_ms(tab) > 0, "a pause")
    tab.evaluate("for (let n = 0; n < 40; n++) funnelcast.track('custom', {text: 'ж'.repeat(2000)})")
    tab.evaluate("funnelcast.track('custom', {text: 'x'.repeat(40000)})")  # beyond the collector's limit
    site.counted(custom=41)
    assert max(len(body) for body in gate.bodies) <= 51_000
    assert len(gate.bodies) >= 5


# -- text that is cut, and was cut -------------------------------------------------------------------------------------

LONG = "y" * 199 + "\U0001f525"
HALF = re.compile(rb"\\ud[89a-f]", re.I)


def test_a_tag_is_cut_between_characters(gate: Gate, site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet(url=gate.url)["html"])}
    tab.goto(f"{shop.url}/?utm_source=fb&utm_campaign={LONG}{LONG}")
    site.counted(page_view=1)
    tab.goto(shop.url)
    site.counted(page_view=2)
    for view in site.records():
        assert view["properties"]["campaign"] == LONG
        assert view["context"]["first_touch"]["utm_campaign"] == LONG
        assert view["context"]["last_touch"]["utm_campaign"] == LONG
    assert not HALF.search(b"".join(gate.bodies))
    assert not HALF.search(tab.evaluate("JSON.stringify(Object.values(localStorage))").encode())


def test_halves_that_an_older_script_or_the_page_left_are_repaired(
    gate: Gate, site: Installation, shop: Shop, tab: Page
) -> None:
    behind(gate, site, shop, tab)
    tab.evaluate(
        r"""() => {
        const touch = JSON.stringify({utm_source: 'fb', utm_campaign: 'y\ud83d'});
        localStorage['funnelcast.first'] = localStorage['funnelcast.last'] = touch;
        const old = {id: 'old-1', name: 'custom', occurred_at_ms: Date.now(), properties: {text: '\ud83d'}};
        old.anonymous_id = 'a';
        localStorage[`funnelcast.e${Date.now()}.old-1`] = JSON.stringify(old);
        document.title = 'Shop\udd25';
        funnelcast.page({'half\ud83d': '\ud83dx', whole: '🔥', written: '\\ud83d \\\\ud83d'});
        }"""
    )
    site.counted(page_view=1, custom=1)
    view, old = sorted(site.records(), key=lambda one: str(one["name"]), reverse=True)
    assert view["context"]["first_touch"] == {"utm_source": "fb", "utm_campaign": "y\ufffd"}
    assert view["context"]["last_touch"] == view["context"]["first_touch"]
    assert view["context"]["page"]["title"] == "Shop\ufffd"
    own = {name: view["properties"][name] for name in ("half\ufffd", "whole", "written")}
    assert own == {"half\ufffd": "\ufffdx", "whole": "\U0001f525", "written": r"\ud83d \\ud83d"}
    assert old["properties"]["text"] == "\ufffd"
    assert b"\xef\xbf\xbd" in b"".join(gate.bodies)  # repaired here, not by the collector
