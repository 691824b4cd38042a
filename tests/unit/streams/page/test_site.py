"""The files of the live page: what they may do, that nothing is missing, and that what is not ours is what it was."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import zlib
from importlib import resources

import pytest

from streams.page.site import HEADERS, HOME, site_pages
from streams.web.pages import PageAnswer, PageRequest

STATIC = resources.files("streams.page") / "static"
ECHARTS = "1167edd939099846bf747cfc2fb91298"
"""SHA-256 (its first half) of the parts of ECharts 6.1.0 as `npm --prefix tests/browser run charts` builds them."""
MOST_SCRIPT_BYTES = 400_000
LANGUAGES = ("en", "he", "el", "zh", "uz")


def text_of(path: str) -> str:
    return (STATIC / path).read_text(encoding="utf-8")


def answer_of(path: str, known: str | None = None) -> PageAnswer:
    async def asked() -> PageAnswer:
        answer = await site_pages()[path](PageRequest("", known))
        assert isinstance(answer, PageAnswer)
        return answer

    return asyncio.run(asked())


def test_every_file_that_is_asked_for_is_served() -> None:
    pages = site_pages()
    asked = set(re.findall(r'(?:src|href)="(/page/[^"]+)"', text_of("index.html")))
    for path in [path for path in pages if path.endswith(".js") and "/vendor/" not in path]:
        script = text_of(path.removeprefix("/page/"))
        asked |= {f"/page/{name}" for name in re.findall(r"""(?:from|import\() ?'\./([\w.-]+)'""", script)}
        asked |= set(re.findall(r"import\('(/page/[^']+)'\)", script))
    assert asked
    assert asked <= pages.keys()


def test_a_browser_may_load_nothing_from_elsewhere_and_run_nothing_inline() -> None:
    answer = answer_of(HOME)
    assert answer.content_type == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy == HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    page = text_of("index.html")
    assert re.findall(r"<script(?![^>]* src=)|\son\w+=|\sstyle=|<style", page) == []
    assert re.findall(r"https?://", page + text_of("style.css")) == []
    assert answer_of(HOME, answer.headers["etag"]).status == 304


def test_scripts_make_no_markup_of_text() -> None:
    names = [each.name for each in STATIC.iterdir() if each.name.endswith(".js")]
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|srcdoc"
    assert {name: found for name in names if (found := re.findall(ways, text_of(name)))} == {}


def test_scripts_are_small_and_echarts_is_the_version_that_was_built() -> None:
    scripts = {path: answer_of(path).body for path in site_pages() if path.endswith(".js")}
    assert sum(len(zlib.compress(body, 1)) for body in scripts.values()) <= MOST_SCRIPT_BYTES
    assert hashlib.sha256(scripts["/page/vendor/echarts.js"]).hexdigest()[:32] == ECHARTS
    assert b"Apache ECharts 6.1.0" in scripts["/page/vendor/echarts.js"][:200]
    assert "Apache License" in answer_of("/page/vendor/LICENSE.txt").body.decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_message_with_its_places(language: str) -> None:
    def places(messages: dict[str, str]) -> dict[str, list[str]]:
        return {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in messages.items()}

    english, messages = (json.loads(text_of(f"messages/{each}.json")) for each in ("en", language))
    assert places(messages) == places(english)
    assert all(text.strip() for text in messages.values())


def test_every_message_that_a_script_names_exists() -> None:
    scripts = "".join(text_of(each.name) for each in STATIC.iterdir() if each.name.endswith(".js"))
    named = set(re.findall(r"\b(?:t|parts)\('([\w.-]+)'", scripts)) | set(
        re.findall(r'data-text="([^"]+)"', text_of("index.html"))
    )
    assert len(named) > 50
    assert named <= json.loads(text_of("messages/en.json")).keys()
