"""funnelcast.js on real pages in Chromium: what is counted in Redis is what was done on the page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.installation import Installation, until
from tests.browser.shop import BODY, Shop, loaded, page
from tests.support.addresses import ADDRESSES

MANUAL = ("--attribute", "manual")


ADDED = {"channel": "direct", "platform": "Linux", "device": "desktop"}
"""By the collector, to an event of a page that nobody led to."""


def told(site: Installation, name: str) -> list[dict[str, Any]]:
    """Records of this name, in the order of the log."""
    return [one for one in site.records() if one["name"] == name]


def clicks_of_channel(site: Installation, channel: str) -> int:
    """All that this installation has counted so far."""
    cells: dict[str, Any] = next(iter(site.report()["counters"].get("total", {}).values()), {})
    return int(cells.get(f"channel={channel}", {}).get("cta_click", {}).get("events", 0))


def test_views_clicks_impressions_and_a_lead(site: Installation, shop: Shop, tab: Page) -> None:
    before = clicks_of_channel(site, "unassigned")
    head = site.snippet()["html"]
    shop.pages = {"/": page(head, BODY), "/next": page(head)}
    tab.goto(f"{shop.url}/?utm_source=spring-news&utm_campaign=may&token=secret3#secret4")
    tab.click("#buy b")
    tab.click("#ask button")
    tab.click("#search button")
    site.counted(page_view=1, cta_click=1, lead=1, hero_view=1)
    tab.click("#buy")
    tab.click("#next")
    tab.wait_for_url("**/next")
    site.counted(page_view=2, cta_click=2, lead=1, hero_view=1)
    assert clicks_of_channel(site, "unassigned") == before + 2
    records = site.records()
    assert not re.search(r"secret|Hilton|X 12|ann@|bob@|901820", str(records), flags=re.I)
    assert len({one["anonymous_id"] for one in records}) == 1
    (lead,) = told(site, "lead")
    assert len(lead["contact_id"]) == 64
    assert lead["properties"] == {
        "form": "contact",
        "source": "spring-news",
        "campaign": "may",
        "channel": "unassigned",
        "platform": "Linux",
        "device": "desktop",
    }
    assert told(site, "cta_click")[0]["properties"]["order_id"] == "p-1"
    assert told(site, "hero_view")[0]["properties"]["banner"] == "spring"
    assert told(site, "page_view")[1]["context"]["page"] == {
        "url": f"{shop.url}/next",
        "title": "Shop",
        "referrer": f"{shop.url}/?utm_source=spring-news&utm_campaign=may",
    }


def test_a_funnel_of_pages(site: Installation, shop: Shop, tab: Page) -> None:
    head = site.snippet("--attribute", "params=plan")["html"]
    shop.pages = {path: page(head) for path in ("/pricing", "/checkout")} | {"/thanks/1": page(head, title="Thank you")}
    for number, path in enumerate(("/pricing#monthly", "/checkout?plan=pro&token=secret", "/thanks/1?x=1"), 1):
        tab.goto(f"{shop.url}{path}")
        site.counted(page_view=number)
    (cells,) = site.report("pages")["counters"]["total"].values()
    for cell in (cells[""], cells["landing=/pricing"]):
        assert {stage: cell[stage]["entries"] for stage in cell} == {"pricing": 1, "checkout": 1, "thanks": 1}
        assert cell["pricing"]["advanced.cohort"] == cell["checkout"]["advanced.cohort"] == 1


def test_a_page_with_the_snippet_and_no_mark_walks_the_default_funnel(
    site: Installation, shop: Shop, tab: Page
) -> None:
    before = site.stages("web")
    head = site.snippet()["html"]
    shop.pages = {"/": page(head), "/checkout": page(head)}
    tab.goto(shop.url)
    site.counted(page_view=1)
    until(lambda: len(told(site, "engaged")) == 1, "a page in view for ten seconds")
    tab.clock.install()  # from here on time jumps
    tab.goto(f"{shop.url}/checkout")
    loaded(tab)
    tab.clock.run_for(15_000)
    site.counted(page_view=2)
    assert len(told(site, "engaged")) == 1
    entered = {stage: count - before.get(stage, 0) for stage, count in site.stages("web").items()}
    assert entered == {"visit": 1, "engaged": 1, "checkout_or_lead": 1}


def test_first_and_last_touch(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet("--attribute", "params=product")["html"])}
    for number, query in enumerate(["?gclid=g1", "", "?utm_source=mail&product=7", "?other=1"], 1):
        tab.goto(f"{shop.url}/{query}")
        site.counted(page_view=number)
    touches = [(one["properties"].get("source"), one["context"]) for one in told(site, "page_view")]
    assert [source for source, _ in touches] == ["google", "google", "mail", "mail"]
    assert all(context["first_touch"]["gclid"] == "g1" for _, context in touches)
    assert [context["last_touch"] for _, context in touches[1:3]] == [{"gclid": "g1"}, {"utm_source": "mail"}]
    assert touches[2][1]["page"]["url"] == f"{shop.url}/?utm_source=mail&product=7"


def test_what_is_read_from_addresses(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet(*MANUAL)["html"])}
    tab.goto(shop.url)
    loaded(tab)
    told_page = "([n, to]) => { funnelcast.reset(); history.replaceState(0, '', to); funnelcast.page({n}) }"
    for number, row in enumerate(ADDRESSES):
        tab.evaluate(told_page, [number, row["address"]])
    site.counted(page_view=len(ADDRESSES))
    views = {one["properties"]["n"]: one["context"] for one in told(site, "page_view")}
    read = [
        {
            "about": row["about"],
            "address": row["address"],
            "tags": views[number]["last_touch"],
            "kept": url_of(views[number]),
        }
        for number, row in enumerate(ADDRESSES)
    ]
    assert [one | {"kept": one["kept"].removeprefix(shop.url)} for one in read] == ADDRESSES
    assert all(context["first_touch"].items() >= context["last_touch"].items() for context in views.values())


def url_of(context: dict[str, Any]) -> str:
    """Of the page that an event happened on."""
    return str(context["page"]["url"])


def test_a_route_keeps_its_fragment_and_the_tags_after_it(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet("--attribute", "hash", "--attribute", "params=sort page")["html"])}
    tab.goto(f"{shop.url}/#/x?utm_source=mail&sort=1&token=secret")
    site.counted(page_view=1)
    tab.evaluate("location.hash = '#page'")
    site.counted(page_view=2)
    views = [one["context"] for one in told(site, "page_view")]
    assert [url_of(one) for one in views] == [f"{shop.url}/?utm_source=mail&sort=1#/x", f"{shop.url}/#page"]
    assert [one["last_touch"] for one in views] == [{"utm_source": "mail"}] * 2


def test_calls_before_the_script_is_there_keep_their_time_and_page(site: Installation, shop: Shop, tab: Page) -> None:
    html = site.snippet()["html"]
    stub, script = html.split("</script>\n")
    late = (
        f"<script>window.load = () => {{ const made = document.createRange().createContextualFragment({script!r}); "
        "document.head.append(made) }</script>".replace("</script>')", "<\\/script>')")
    )
    early = "<script>funnelcast.track('custom', {n: 1}); history.replaceState(0, '', '/later')</script>"
    shop.pages = {"/": page(f"{stub}</script>{early}{late}", BODY)}
    tab.goto(f"{shop.url}/")
    before_ms = tab.evaluate("Date.now()")
    tab.evaluate("window.title = document.title = 'Later'")
    tab.wait_for_function("before => Date.now() > before", arg=before_ms)
    tab.evaluate("load()")
    site.counted(page_view=1, custom=1, hero_view=1)
    (custom,), (view,) = told(site, "custom"), told(site, "page_view")
    assert custom["occurred_at_ms"] <= before_ms < view["occurred_at_ms"]
    assert custom["context"]["page"] == {"url": f"{shop.url}/", "title": "Shop", "referrer": ""}
    assert view["context"]["page"] == {"url": f"{shop.url}/later", "title": "Later", "referrer": ""}


def test_who_a_visitor_is_and_was(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet(*MANUAL)["html"])}
    tab.goto(shop.url)
    loaded(tab)
    tab.evaluate("funnelcast.page({kind: 'home'})")
    tab.evaluate("funnelcast.identify(77, {email: 'ann@example.com', plan: 'pro'})")
    tab.evaluate("funnelcast.track('custom')")
    site.counted(page_view=1, identify=1, custom=1)
    tab.reload()
    loaded(tab)
    tab.evaluate("funnelcast.track('custom'), funnelcast.reset(), funnelcast.track('custom')")
    site.counted(page_view=1, identify=1, custom=3)
    records = site.records()
    assert [one.get("user_id") for one in records] == [None, "77", "77", "77", None]
    ids = [one["anonymous_id"] for one in records]
    assert len(set(ids[:4])) == 1
    assert ids[4] != ids[0]
    assert len(records[1]["contact_id"]) == 64
    assert records[1]["properties"] == {"plan": "pro"} | ADDED


def test_a_browser_of_staff_says_so(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet(*MANUAL)["html"])}
    tab.goto(shop.url)
    loaded(tab)
    tab.evaluate("document.cookie = 'funnelcast_staff=1;path=/'")
    tab.evaluate("funnelcast.track('custom', {traffic: 'canary'}), funnelcast.track('custom')")
    tab.evaluate("document.cookie = 'funnelcast_staff=;path=/;max-age=0'")
    tab.evaluate("funnelcast.track('custom')")
    site.counted(custom=1)
    assert [one["properties"].get("traffic") for one in site.records()] == ["canary", "staff", None]


def test_a_page_that_changes_its_address_itself(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet()["html"])}
    tab.goto(shop.url)
    loaded(tab)
    tab.evaluate("history.pushState({}, '', '/a?sort=1'); setTimeout(() => document.title = 'A', 100)")
    tab.wait_for_function("document.title === 'A'")
    tab.evaluate("history.replaceState({}, '', '/a?sort=2')")  # the same page
    site.counted(page_view=2)
    tab.evaluate("history.pushState({}, '', '/b'); history.pushState({}, '', '/c'); document.title = 'C'")
    tab.go_back()
    tab.wait_for_url("**/b")
    site.counted(page_view=5)
    views = [one["context"]["page"] for one in told(site, "page_view")]
    assert [one["url"].removeprefix(shop.url) for one in views] == ["/", "/a", "/b", "/c", "/b"]
    assert [one["title"] for one in views][:2] == ["Shop", "A"]
    assert [one["referrer"].removeprefix(shop.url) for one in views] == ["", "/", "/a", "/b", "/c"]


def test_routes_in_the_fragment(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet("--attribute", "hash")["html"])}
    tab.goto(f"{shop.url}/#/one?token=secret")
    loaded(tab)
    tab.evaluate("location.hash = '#/two'")
    site.counted(page_view=2)
    urls = [one["context"]["page"]["url"] for one in told(site, "page_view")]
    assert urls == [f"{shop.url}/#/one", f"{shop.url}/#/two"]


def test_back_to_a_page_that_was_kept_alive(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet()["html"], BODY), "/next": page("")}
    tab.goto(shop.url)
    site.counted(page_view=1, hero_view=1)
    tab.evaluate("window.mark = 1; addEventListener('pageshow', (e) => { window.restored = e.persisted })")
    tab.click("#buy")
    tab.goto(f"{shop.url}/next")
    tab.go_back(wait_until="commit")
    tab.wait_for_function("window.mark === 1 && window.restored === true")
    tab.click("#buy")
    site.counted(page_view=2, cta_click=2, hero_view=1)


def test_impressions_of_elements_below_hidden_and_added_later(site: Installation, shop: Shop, tab: Page) -> None:
    body = "<div style='height:3000px'></div><p id=low data-funnel-impression=hero_view data-funnel-n=low>low</p>"
    shop.pages = {"/": page(site.snippet(*MANUAL)["html"], body)}
    tab.goto(shop.url)
    loaded(tab)
    add = (
        "n => { const added = document.createElement('p'); added.dataset.funnelImpression = 'hero_view';"
        "added.textContent = added.dataset.funnelN = n; document.body.prepend(added) }"
    )
    tab.evaluate("scrollTo(0, 4000); new Promise(done => setTimeout(() => done(scrollTo(0, 0)), 300))")
    tab.evaluate(add, "new")  # seen for a second it is counted, and what was seen too shortly would be by then
    site.counted(hero_view=1)
    tab.evaluate("scrollTo(0, 4000)")
    site.counted(hero_view=2)
    tab.evaluate("scrollTo(0, 0)")
    tab.evaluate(add, "third")  # what is seen again beside it is not counted again
    site.counted(hero_view=3)
    tab.evaluate("scrollTo(0, 4000), funnelcast.track('custom')")
    site.counted(hero_view=3, custom=1)
    assert [one["properties"]["n"] for one in told(site, "hero_view")] == ["new", "low", "third"]


def test_clicks_in_a_shadow_root_with_the_middle_button_and_the_keyboard(
    site: Installation, shop: Shop, tab: Page
) -> None:
    body = "<div id=host></div><a id=out href=/other data-funnel-event=cta_click data-funnel-my-event=1>Out</a>"
    shop.pages = {"/": page(site.snippet(*MANUAL)["html"], body), "/other": page("")}
    tab.goto(shop.url)
    loaded(tab)
    tab.evaluate(
        "const root = document.getElementById('host').attachShadow({mode: 'open'});"
        "root.innerHTML = '<p data-funnel-event=custom>outer <b id=in data-funnel-event=cta_click>inner</b></p>'"
    )
    tab.click("#in")
    tab.click("#out", button="right")
    tab.keyboard.press("Escape")
    tab.click("#out", button="middle")
    tab.focus("#out")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/other")
    site.counted(cta_click=3)
    assert told(site, "cta_click")[1]["properties"] == {"my_event": "1"} | ADDED


def test_every_form_when_the_page_wants_it_without_a_field(site: Installation, shop: Shop, tab: Page) -> None:
    shop.pages = {"/": page(site.snippet(*MANUAL, "--attribute", "forms")["html"], BODY)}
    tab.goto(shop.url)
    loaded(tab)
    tab.click("#search button")
    site.counted(form_submit=1, hero_view=1)
    (submit,) = told(site, "form_submit")
    assert submit["properties"] == {"form": "search"} | ADDED
    assert "contact_id" not in submit


def test_begun_by_a_call_as_from_a_tag_manager(site: Installation, shop: Shop, tab: Page) -> None:
    html = site.snippet()["html"].replace(f' data-key="{site.key}"', "")
    options = f"{{key: '{site.key}', host: '{site.url}', allowBots: true, params: 'q'}}"
    calls = f"<script>funnelcast.track('custom'); funnelcast.init({options})</script>"
    shop.pages = {"/": page(html.replace("</script>\n", f"</script>{calls}", 1))}
    tab.goto(f"{shop.url}/?q=tea&token=x")
    site.counted(page_view=1, custom=1)
    assert {one["context"]["page"]["url"] for one in site.records()} == {f"{shop.url}/?q=tea"}


def test_as_an_es_module(site: Installation, shop: Shop, tab: Page) -> None:
    source = site.snippet()["module"]["src"]
    options = f"{{key: '{site.key}', host: '{site.url}', allowBots: true}}"
    module = f"<script type=module>import {{init, track}} from '{source}'; init({options}); track('custom')</script>"
    shop.pages = {"/": page(module, BODY)}
    tab.goto(shop.url)
    tab.click("#buy")
    site.counted(page_view=1, custom=1, cta_click=1, hero_view=1)


@pytest.mark.parametrize("policy", ["hash", "nonce"])
def test_under_a_strict_policy(site: Installation, shop: Shop, tab: Page, policy: str) -> None:
    if policy == "hash":
        snippet = site.snippet("--no-stub")
        allowed, html = f"'{snippet['integrity']}'", snippet["html"]
    else:
        allowed, html = "'nonce-n0'", site.snippet("--nonce", "n0")["html"]
    shop.headers = {
        "Content-Security-Policy": f"default-src 'none'; script-src {allowed}; connect-src {site.url}; "
        "require-trusted-types-for 'script'; form-action 'none'; base-uri 'none'"
    }
    broken: list[str] = []
    tab.on("console", lambda message: broken.append(message.text) if message.type == "error" else None)
    shop.pages = {"/": page(html, BODY.replace(' onsubmit="return false"', ""))}
    shop.pages["/favicon.ico"] = ""
    tab.goto(shop.url)
    tab.click("#buy")
    site.counted(page_view=1, cta_click=1, hero_view=1)
    assert broken == []


def test_bytes_that_are_not_the_pinned_ones_are_not_run(site: Installation, shop: Shop, tab: Page) -> None:
    html = site.snippet()["html"]
    shop.pages = {"/": page(re.sub(r"sha384-.{8}", "sha384-AAAAAAAA", html))}
    tab.goto(shop.url)
    assert tab.evaluate("typeof funnelcast.flush") == "undefined"


def test_two_scripts_count_once(site: Installation, shop: Shop, tab: Page) -> None:
    html = site.snippet()["html"]
    shop.pages = {"/": page(html + html, BODY)}
    tab.goto(shop.url)
    tab.click("#buy")
    site.counted(page_view=1, cta_click=1, hero_view=1)
    assert until(lambda: site.metric("events_received_total") >= 3, "all received")
