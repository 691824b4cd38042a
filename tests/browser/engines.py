"""The three engines that people's browsers are made of, as Debian packages them: Chromium and Firefox by Playwright,
WebKitGTK by its own WebDriver under a screen that nobody sees. WebKitGTK is not Safari: the engine is, the rest is not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, Playwright
from selenium.webdriver import WebKitGTK, WebKitGTKOptions
from selenium.webdriver.webkitgtk.service import Service

from tests.support.waiting import wait_until

ENGINES = ("chromium", "firefox", "webkit")
_CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # of a person: what says that it is headless is a machine, and no funnel counts it
    "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36",
]


class Tab(Protocol):
    """A page in any engine: this much of Playwright's."""

    def goto(self, url: str) -> Any:
        """Load the address."""

    def click(self, selector: str) -> None:
        """As a person does."""

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""

    def wait_for_function(self, expression: str) -> Any:
        """Until the expression is true."""

    def close(self) -> None:
        """The page is gone."""


class Profile(Protocol):
    """What one person's browser remembers."""

    def new_page(self) -> Tab:
        """One more page."""


def chromium(playwright: Playwright) -> Browser:
    """Chromium, with bfcache as people have it."""
    return playwright.chromium.launch(
        executable_path=_program("CHROMIUM", "chromium", "chromium-browser"),
        args=_CHROMIUM_ARGUMENTS,
        ignore_default_args=["--disable-back-forward-cache"],
    )


def firefox(playwright: Playwright) -> Browser:
    """Firefox, not Playwright's patched build: by WebDriver BiDi, which it speaks itself."""
    return playwright.firefox.launch(executable_path=_program("FIREFOX", "firefox-esr"), channel="moz-firefox")


@contextmanager
def webkit() -> Iterator[Profile]:
    """WebKitGTK with an empty profile."""
    driver = _program("WEBKIT_DRIVER", "WebKitWebDriver", package="webkit2gtk-driver")
    browsers = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
    if not browsers:
        pytest.fail("WebKit's MiniBrowser is missing: apt-get install webkit2gtk-driver")
    options = WebKitGTKOptions()
    options.binary_location = str(browsers[-1])
    options.add_argument("--automation")
    with ExitStack() as stack:
        screen = stack.enter_context(_screen())
        browser = WebKitGTK(options=options, service=Service(driver, env={**os.environ, "DISPLAY": screen}))
        stack.callback(browser.quit)
        yield _WebKit(browser)


class _WebKit:
    def __init__(self, browser: WebKitGTK) -> None:
        self._browser = browser
        self._first = browser.current_window_handle  # stays: a browser without a window ends

    def new_page(self) -> Tab:
        self._browser.switch_to.new_window("window")  # a tab behind another would be hidden
        return _WebKitTab(self._browser, self._first)


class _WebKitTab:
    def __init__(self, browser: WebKitGTK, first: str) -> None:
        self._browser, self._first, self._window = browser, first, browser.current_window_handle

    def goto(self, url: str) -> None:
        self._mine().get(url)

    def click(self, selector: str) -> None:
        self._mine().find_element("css selector", selector).click()

    def evaluate(self, expression: str) -> Any:
        return self._mine().execute_script(f"return ({expression})")

    def wait_for_function(self, expression: str) -> Any:
        return wait_until(lambda: self.evaluate(expression), what=lambda: self.evaluate(_SEEN))

    def close(self) -> None:
        self._mine().close()
        self._browser.switch_to.window(self._first)

    def _mine(self) -> WebKitGTK:
        self._browser.switch_to.window(self._window)
        return self._browser


_SEEN = "location.href + '\\n' + document.body.innerText"


@contextmanager
def _screen() -> Iterator[str]:
    """A display of its own."""
    argv = [_program("XVFB", "Xvfb", package="xvfb"), "-displayfd", "1", "-nolisten", "tcp"]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        number = server.stdout.readline().decode().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        server.terminate()
        server.communicate()


def _program(variable: str, *names: str, package: str = "") -> str:
    """Debian's, or the one that the variable names."""
    program = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.fail(f"{names[0]} is missing: apt-get install {package or names[0]} (or set {variable})")
    return program
