"""The live page in Chromium, on a real store: the numbers of the report, live; what visitors send stays text; who reads
with the keyboard, from right to left, on a phone, with a key, and while the store is away.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from tests.browser.watched import WatchedShop, event, expected, numbers
from tests.support.shop import shop_events

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
NASTY = "<img src=x onerror=\"document.title='owned'\">\u202e\u0007 & 'quotes'"
LONG = "a manager with a name that is far longer than any table wants it to be, and goes on"
STAGES = [f"  - {{name: stage_with_a_rather_long_name_{n}, on: [e{n}], abandon_after: 1h}}" for n in range(23)]
HEAD = ["name: huge", "version: 1", "currency: JPY", "conversion_window: 30d", "stages:"]
HUGE = "\n".join([*HEAD, *STAGES, "  - {name: the_end_of_it_all, on: [e23], order: true}"])
"""As many stages as one may have, and amounts without decimals."""
TRIAL = "\n".join(
    [
        *("name: trial", "version: 1", "currency: EUR", "conversion_window: 7d", "stages:"),
        *("  - {name: trial, on: [trial], abandon_after: 1d}", "  - {name: payment, on: [payment], order: true}"),
        *("dimensions:", "  - {name: channel, attribution: first}"),
    ]
)
"""A stage of which a value has the name."""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[WatchedShop]:
    shop = WatchedShop(tmp_path)
    try:
        shop.start()
        yield shop
    finally:
        shop.end()


Guarded = tuple[WatchedShop, str]
"""A shop whose page wants a read key, and the key."""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    shop = WatchedShop(tmp_path, arguments=("--require-read-key",))
    key = json.loads(shop.command("keys", "create", "--source", "page", "--scope", "read", "--json"))["key"]
    try:
        shop.start()
        yield shop, key
    finally:
        shop.end()


def give_key(tab: Page, key: str) -> None:
    expect(tab.get_by_role("heading", name="This page needs a read key")).to_be_visible()
    tab.get_by_role("textbox", name="Read key").fill(key)
    tab.get_by_role("button", name="Open").click()


@pytest.fixture
def counted(watched: WatchedShop) -> WatchedShop:
    """With the small shop's events of the last two hours."""
    watched.count(shop_events(watched.now_ms))
    return watched


@pytest.fixture
def quiet(context: BrowserContext) -> Iterator[list[str]]:
    """Fails where the page says anything on the console, asks another host, or breaks its own policy."""
    said: list[str] = []
    context.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    context.on(
        "request", lambda one: said.append(one.url) if not re.match("http://127.0.0.1:|data:", one.url) else None
    )
    yield said
    assert said == []


def opened(tab: Page, watched: WatchedShop, address: str = "period=all") -> Page:
    tab.goto(f"{watched.url}#{address}")
    expect(tab.locator(".funnel tbody tr")).to_have_count(len(watched.funnel.stages))
    return tab


def euros(minor: int) -> str:
    return f"€{minor / 100:,.2f}" if minor else "€0"


def test_the_page_waits_for_the_first_event_and_then_shows_the_numbers_of_the_report_live(
    watched: WatchedShop, tab: Page, quiet: list[str]
) -> None:
    tab.goto(watched.url)
    expect(tab.get_by_role("heading", name="Waiting for the first event")).to_be_visible()
    expect(tab.locator(".empty .stages li")).to_have_text(["impression", "click", "lead", "payment"])
    watched.count(shop_events(watched.now_ms))
    expect(tab.locator(".funnel tbody tr")).to_have_count(4)
    tab.get_by_label("All time").check()
    expect(tab.locator(".funnel tbody tr").first.locator("td .number").first).to_have_text("240")
    assert numbers(tab) == expected(watched.report("--grain", "total", "--dim", ""))
    expect(tab.locator("#pulse")).to_have_class("pulse live")
    more = [event("impression", f"new-{n}", watched.now_ms) for n in range(1000)]
    watched.count(more)
    expect(tab.locator(".funnel tbody tr").first.locator("td .number").first).to_have_text("1,240")
    expect(tab.locator(".tile.entries .value")).to_have_text("1,240")
    assert numbers(tab) == expected(watched.report("--grain", "total", "--dim", ""))


def test_money_and_channels_are_those_of_the_report(counted: WatchedShop, tab: Page, quiet: list[str]) -> None:
    opened(tab, counted, "period=all&view=owner")
    (rates,) = counted.report("--grain", "total", "--dim", "")["rates"]
    money = rates["money"]
    expect(tab.locator(".tile.revenue .value")).to_have_text(euros(money["revenue"]))
    expect(tab.locator(".tile.orders .value")).to_have_text(str(money["orders"]))
    tomorrow = datetime.fromtimestamp(counted.now_ms / 1000 + 86_400, UTC).date().isoformat()
    view = counted.report("--view", "owner", "--since", "365d", "--until", tomorrow)
    rows = view["table"]["rows"]
    shown = tab.locator("#table tbody tr")
    expect(shown.locator("th")).to_have_text(["All", *(row["dim"].removeprefix("channel=") for row in rows[1:])])
    for number, row in enumerate(rows):
        expect(shown.nth(number).locator("td").first).to_have_text(euros(row["numbers"][0]))
    expect(tab.locator("#what-if .answer")).to_contain_text("orders:")
    tab.get_by_label("Sales").check()
    expect(tab.locator("#table thead")).to_contain_text("Stalled")
    expect(tab.locator("#matrix tbody th").first).to_be_visible()


def test_what_a_visitor_sends_is_text_and_nothing_else(guarded: Guarded, tab: Page) -> None:
    watched, key = guarded
    at = watched.now_ms - 7_200_000
    events = []
    for n in range(40):
        person = f"{NASTY}{n}"
        events += [event("impression", person, at + n, channel=NASTY), event("click", person, at + n + 1000)]
        events.append(event("lead", person, at + n + 2000, manager=LONG))
        events.append(event("lead_lost", person, at + n + 3000, reason=NASTY))
    watched.count(events)
    tab.goto(f"{watched.url}#period=all&view=sales")
    give_key(tab, key)
    expect(tab.locator("#leaving")).to_contain_text(NASTY[:20])
    tab.locator("#journey input").fill(f"{NASTY}3")
    tab.get_by_role("button", name="Show").click()
    expect(tab.locator("#journey")).to_contain_text("lost")
    tab.get_by_label("Marketing").check()
    expect(tab.locator("#table")).to_contain_text(NASTY[:20])
    assert tab.title() == "shop · funnelcast"
    assert tab.locator("main img").count() == 0
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u0000-\u0008]", tab.locator("main").inner_text())


def daily(now_ms: int) -> Iterator[dict[str, Any]]:
    """Sixteen days in which every third click became a lead, until six hours ago: since then none does."""
    for minute in range(16 * DAY_MS // MINUTE_MS, 0, -4):
        at_ms, person = now_ms - minute * MINUTE_MS, f"v{minute}"
        yield event("impression", person, at_ms)
        yield event("click", person, at_ms + 1)
        if minute % 3 == 0 and minute > 6 * HOUR_MS // MINUTE_MS:
            yield event("lead", person, at_ms + 2)


@pytest.fixture
def dropped(tmp_path: Path) -> Iterator[WatchedShop]:
    shop = WatchedShop(tmp_path)
    try:
        shop.start(list(daily(shop.now_ms)))
        yield shop
    finally:
        shop.end()


def test_alerts_that_speak_are_those_of_alerts_explain(dropped: WatchedShop, tab: Page, quiet: list[str]) -> None:
    opened(tab, dropped)
    alert = tab.locator("#alerts .alert.critical")
    expect(alert).to_have_count(1)
    explained = json.loads(dropped.command("alerts", "explain", "--json"))["alerts"]
    (said,) = (each for each in explained if each["severity"] == "critical")
    assert (said["name"], said["stage"], said["numerator"]) == ("FunnelConversionDrop", "click", 0)
    expect(alert).to_contain_text("click")
    numbers_said = rf"0 of {said['denominator']:.0f}\b.*{100 * said['baseline']:.0f}(\.\d)?%"
    expect(alert).to_contain_text(re.compile(numbers_said))
    expect(alert).to_contain_text(f"{said['evidence']:.0f}")
    for language in ("el", "zh", "uz", "he"):
        tab.locator("#language").select_option(language)
        expect(alert).to_have_count(1)
        expect(alert).not_to_contain_text(re.compile("alert\\.|cause\\.|going on"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(counted: WatchedShop, tab: Page, theme: Literal["light", "dark"]) -> None:
    tab.emulate_media(color_scheme=theme)
    opened(tab, counted)
    expect(tab.locator("#trend canvas")).to_be_visible()
    expect(tab.locator("#matrix table")).to_be_visible()
    session = tab.context.new_cdp_session(tab)  # not a script of the page: its policy stays as it is
    session.send("Runtime.evaluate", {"expression": AXE.read_text()})
    run = "axe.run().then(r => JSON.stringify(r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 120))])))"
    answer = session.send("Runtime.evaluate", {"expression": run, "awaitPromise": True})
    assert json.loads(answer["result"]["value"]) == []


def test_languages(counted: WatchedShop, tab: Page, quiet: list[str]) -> None:
    opened(tab, counted)
    for language, word in (("el", "Το χωνί"), ("zh", "漏斗"), ("uz", "Voronka"), ("he", "המשפך")):
        tab.locator("#language").select_option(language)
        expect(tab.locator("#overview h2")).to_have_text(word)
        expect(tab.locator("html")).to_have_attribute("dir", "rtl" if language == "he" else "ltr")
        expect(tab.locator(".tile.revenue .value")).to_contain_text("€")
        assert "\ufffd" not in tab.locator("body").inner_text()
    tab.reload()
    expect(tab.locator("#overview h2")).to_have_text("המשפך")


def test_no_width_makes_the_page_scroll_sideways(counted: WatchedShop, tab: Page) -> None:
    opened(tab, counted)
    expect(tab.locator("#trend canvas")).to_be_visible()
    for width in (1280, 390, 320):
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_the_keyboard_reaches_every_control(counted: WatchedShop, tab: Page) -> None:
    opened(tab, counted)
    tab.keyboard.press("Tab")
    expect(tab.locator(".skip")).to_be_focused()
    tab.keyboard.press("Tab")
    expect(tab.locator("#funnel")).to_be_focused()
    tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowRight")
    expect(tab.locator("#view input:checked")).to_have_value("owner")
    expect(tab.locator("#view input:checked")).to_be_focused()
    assert "view=owner" in tab.url


def test_a_store_that_is_away_is_said_and_its_return_seen(counted: WatchedShop, tab: Page) -> None:
    opened(tab, counted)
    counted.valkey.kill()
    expect(tab.locator("#notice")).to_contain_text("cannot be read")
    expect(tab.locator(".funnel tbody tr").first.locator("td .number").first).to_have_text("240")
    counted.valkey.start()
    expect(tab.locator("#notice")).to_be_hidden()
    counted.count([event("impression", "late", counted.now_ms)])
    expect(tab.locator(".funnel tbody tr").first.locator("td .number").first).to_have_text("241")


def test_a_read_key_is_asked_for_and_kept_in_the_tab(guarded: Guarded, tab: Page) -> None:
    watched, key = guarded
    watched.count(shop_events(watched.now_ms))
    tab.goto(f"{watched.url}#period=all")
    give_key(tab, "wrong")
    give_key(tab, key)
    expect(tab.locator(".funnel tbody tr")).to_have_count(4)
    tab.reload()
    expect(tab.locator(".funnel tbody tr")).to_have_count(4)
    assert key not in tab.url


def test_without_a_key_nobody_is_looked_up(counted: WatchedShop, tab: Page) -> None:
    opened(tab, counted)
    tab.locator("#journey input").fill("u0")
    tab.get_by_role("button", name="Show").click()
    expect(tab.locator("#journey .error")).to_contain_text("--require-read-key")


def test_a_value_is_shown_as_it_was_written_and_names_no_stage(tmp_path: Path, tab: Page, quiet: list[str]) -> None:
    shop = WatchedShop(tmp_path, definition=TRIAL)
    try:
        shop.start()
        at = shop.now_ms - 2 * DAY_MS
        shop.count([event("trial", f"p{person}", at, channel="TRIAL" if person else "Fair") for person in range(3)])
        opened(tab, shop)
        expect(tab.locator("#table")).to_contain_text("TRIAL")
        expect(tab.locator("#table")).to_contain_text("Fair")
        expect(tab.locator("th.stage[scope=row]").first).to_contain_text("trial")
    finally:
        shop.end()


def test_many_stages_long_names_and_huge_numbers_fit(tmp_path: Path, tab: Page, quiet: list[str]) -> None:
    shop = WatchedShop(tmp_path, definition=HUGE)
    try:
        shop.start()
        at = shop.now_ms - 3_600_000
        walked = [(person, stage) for person in range(48) for stage in range(24) if person >= stage]
        paid = {"value": "987654321012", "currency": "JPY"}
        shop.count([event(f"e{stage}", f"p{person}", at + stage, **paid) for person, stage in walked])
        for width in (390, 1280):
            tab.set_viewport_size({"width": width, "height": 900})
            opened(tab, shop)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        shop.end()


def test_the_built_charts_are_those_of_the_source(tmp_path: Path) -> None:
    here = Path(__file__).parent
    subprocess.run(["node", "build.mjs", "charts", str(tmp_path)], cwd=here, check=True)
    committed = here.parents[1] / "streams" / "page" / "static" / "vendor"
    for built in tmp_path.iterdir():
        same = built.read_bytes() == (committed / built.name).read_bytes()
        assert same, f"{built.name} is old: npm --prefix tests/browser run charts"
