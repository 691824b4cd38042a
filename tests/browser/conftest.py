"""Fixtures of the browser tier: browsers, a site, and an installation for every test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.browser import engines
from tests.browser.installation import Installation
from tests.browser.shop import Shop
from tests.support.stack import StackAddresses
from tests.support.waiting import LIMIT

expect.set_options(timeout=LIMIT * 1_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here belongs to the tier `browser`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """What drives Chromium and Firefox."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """One browser for the session; every test has a profile of its own."""
    with engines.chromium(playwright) as browser:
        yield browser


@pytest.fixture(scope="session")
def firefox(playwright: Playwright) -> Iterator[Browser]:
    """The same."""
    with engines.firefox(playwright) as browser:
        yield browser


@pytest.fixture(params=engines.ENGINES)
def profile(request: pytest.FixtureRequest) -> Iterator[engines.Profile]:
    """A profile in Chromium, in Firefox and in WebKit: the test runs in each."""
    if request.param == "webkit":
        with engines.webkit() as browser:
            yield browser
    else:
        with profile_of(request.getfixturevalue(request.param)) as context:
            yield context


@contextmanager
def profile_of(browser: Browser) -> Iterator[BrowserContext]:
    """A profile of its own; a page that throws fails the test."""
    thrown: list[str] = []
    with browser.new_context() as context:
        context.set_default_timeout(1_000 * LIMIT)
        context.on("weberror", lambda error: thrown.append(str(error.error)))
        yield context
    assert thrown == []


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A profile in Chromium."""
    with profile_of(chromium) as context:
        yield context


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
