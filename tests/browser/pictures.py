"""Pictures of the live page for the documents: `python -m tests.browser.pictures` writes docs/pictures/page*.png.

Two weeks of the demo's shop are counted, so that there is a week to compare with; the newest hour is of this hour.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from funnelcast.demo.shop import CHANNELS, Shop
from schemas.times import DAY_MS, HOUR_MS, utc_text
from tests.browser.engines import chromium
from tests.browser.watched import WatchedShop, event

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
DAYS, STEP_MS = 15, 60_000
TARGETS = "targets: [{stage: payment, of: revenue, period: %s, goal: 310000}, {stage: lead, period: %s, goal: 7000}]"
WIDE, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}


def history(now_ms: int) -> Iterator[dict[str, Any]]:
    """Visitors of two weeks, more by day than by night, and what the channels cost."""
    shop, chance = Shop(seed=4, events_per_second=0.05), random.Random(4)
    start_ms = now_ms - DAYS * DAY_MS
    shop.due(start_ms)
    for at_ms in range(start_ms, now_ms, STEP_MS):
        hour = at_ms % DAY_MS / HOUR_MS
        shop.events_per_second = 0.02 + 0.03 * (1 + math.sin((hour - 9) / 24 * 2 * math.pi)) + 0.01 * chance.random()
        for each in shop.due(at_ms):
            yield {**each, "received_at_ms": each["occurred_at_ms"], "user_id": each["anonymous_id"], "source": "web"}
    for day in range(DAYS):
        for channel, weight in CHANNELS[:3]:
            at_ms = start_ms + day * DAY_MS + HOUR_MS
            amount = {"channel": channel, "day": utc_text(at_ms)[:10], "amount": str(35 * weight), "currency": "EUR"}
            yield {**event("ad_spend", channel, at_ms, **amount), "user_id": None}


def main() -> None:
    """Write all of them."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        definition = (resources.files("funnelcast") / "data" / "shop.yaml").read_text()
        targets = Path(folder) / "targets.yaml"
        shop = WatchedShop(Path(folder), definition=definition, arguments=("--targets", str(targets)))
        month = utc_text(shop.now_ms)[:7]
        targets.write_text(TARGETS % (month, month))
        try:
            shop.start(list(history(shop.now_ms)))
            with sync_playwright() as playwright:
                browser = chromium(playwright)
                _take(browser, shop, "page", size=WIDE)
                _take(browser, shop, "page-whole", size=WIDE, is_whole=True)
                _take(browser, shop, "page-dark", size=WIDE, is_dark=True, address="period=7d&view=owner")
                _take(browser, shop, "page-phone", size=PHONE, address="period=7d&view=sales")
                _take(browser, shop, "page-hebrew", size=WIDE, language="he", address="period=7d&view=marketing")
        finally:
            shop.end()


def _take(
    browser: Browser,
    shop: WatchedShop,
    name: str,
    *,
    size: dict[str, int],
    address: str = "period=7d",
    language: str = "en",
    is_dark: bool = False,
    is_whole: bool = False,
) -> None:
    context = browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme="dark" if is_dark else "light",
        locale=language,
        reduced_motion="reduce",
    )
    tab = context.new_page()
    tab.goto(f"{shop.url}#{address}")
    tab.locator(".funnel tbody tr").first.wait_for()
    tab.locator("#trend canvas").wait_for()
    tab.locator("#trend select").nth(1).select_option("hour")
    tab.locator("#trend thead th").nth(2).wait_for(state="attached")
    tab.locator("#table tbody tr").first.wait_for()
    tab.locator(".delta").first.wait_for()
    tab.screenshot(path=str(PICTURES / f"{name}.png"), full_page=is_whole)
    context.close()
    sys.stdout.write(f"{PICTURES / name}.png written\n")


if __name__ == "__main__":
    main()
