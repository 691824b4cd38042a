"""How soon the live page shows something, and its first number: `python -m bench.page [times]`. Needs Chromium.

A fresh profile each time, on a counted shop of the browser tests: nothing is cached. Milliseconds since the navigation
began; asserts nothing.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.browser import engines
from tests.browser.watched import WatchedShop
from tests.support.shop import shop_events

TIMES = 10
FIRST_NUMBER = "document.querySelector('.funnel tbody .number')?.textContent ? performance.now() : 0"
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def opened_once(browser: Browser, url: str) -> tuple[float, float]:
    """(first paint, first number)."""
    context = browser.new_context(bypass_csp=True)  # the question is asked by a script that the page would refuse
    tab = context.new_page()
    tab.goto(f"{url}#period=all", wait_until="commit")
    number = tab.wait_for_function(FIRST_NUMBER, polling="raf").json_value()
    paint = tab.wait_for_function(FIRST_PAINT).json_value()
    context.close()
    return paint, number


def main() -> None:
    """Print median and worst of both."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    with tempfile.TemporaryDirectory() as folder:
        shop = WatchedShop(Path(folder))
        try:
            shop.start()
            shop.count(shop_events(shop.now_ms))
            with sync_playwright() as playwright:
                browser = engines.chromium(playwright)
                seen = [opened_once(browser, shop.url) for _ in range(times)]
        finally:
            shop.end()
    for name, values in zip(("first paint", "first number"), zip(*seen, strict=True), strict=True):
        sys.stdout.write(f"{name:<14} median {statistics.median(values):6.0f} ms   worst {max(values):6.0f} ms\n")


if __name__ == "__main__":
    main()
