"""Fixtures of the browser tier: Debian's Chromium, a site, and an installation for every test."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.installation import Installation
from tests.browser.shop import Shop
from tests.support.stack import StackAddresses

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # of a person: what says that it is headless is a machine, and no funnel counts it
    "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here belongs to the tier `browser`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(400))


def chromium_program() -> str:
    """Debian's, or the one that CHROMIUM names."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.fail("chromium is missing: apt-get install chromium (or set CHROMIUM)")
    return program


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for the session; every test has a profile of its own. With bfcache, as people have it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_program(), args=ARGUMENTS, ignore_default_args=["--disable-back-forward-cache"]
        )
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A profile of its own; a page that throws fails the test."""
    thrown: list[str] = []
    context = chromium.new_context()
    context.on("weberror", lambda error: thrown.append(str(error.error)))
    yield context
    context.close()
    assert thrown == []


@pytest.fixture
def tab(context: BrowserContext) -> Page:
    """A page of that profile."""
    return context.new_page()


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A site."""
    with Shop() as shop:
        yield shop


@pytest.fixture(scope="session")
def shared_site(embedded_stack: StackAddresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Collector and worker of the session: they take seconds to start."""
    installation = Installation(embedded_stack, f"t{uuid.uuid4().hex[:10]}", tmp_path_factory.mktemp("site"))
    try:
        installation.start()
        yield installation
    finally:
        installation.end()


@pytest.fixture
def site(shared_site: Installation) -> Installation:
    """Collector and worker, with nothing counted."""
    shared_site.begin()
    return shared_site


@pytest.fixture
def own_site(embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path) -> Iterator[Installation]:
    """The same for one test to break."""
    installation = Installation(embedded_stack, fresh_space, tmp_path)
    try:
        installation.start()
        yield installation
    finally:
        installation.end()
