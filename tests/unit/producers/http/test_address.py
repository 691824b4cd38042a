"""Whose address a request has: the peer's, and what trusted proxies say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from funnelcast.settings import SettingsError
from funnelcast.settings.load import load_settings
from funnelcast.settings.processes import CollectorSettings
from producers.formats.port import Page, Request
from producers.http.address import TrustedProxies
from producers.http.messages import Answer
from tests.support.collector import CollectorInMemory
from tests.support.rows import rows


@rows(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", b"198.51.100.7", "203.0.113.9"),  # whoever is no proxy of ours may write what he likes
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", b"192.0.2.66, 198.51.100.7", "198.51.100.7"),  # the first was sent by the client
        ("10.0.0.1", b"198.51.100.7, 10.0.0.2 , 10.0.0.3", "198.51.100.7"),
        ("10.0.0.1", b"10.0.0.9", "10.0.0.9"),
        ("10.0.0.1", b"198.51.100.7, unknown", "10.0.0.1"),
        ("10.0.0.1", b"198.51.100.7:443", "198.51.100.7"),
        ("::ffff:10.0.0.1", b"::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8::1", b"[2001:db8:1::5]:443", "2001:db8:1::5"),
        ("2001:db8::1", b"2001:db8:1::5", "2001:db8:1::5"),
        ("", b"198.51.100.7", ""),
        ("10.0.0.1", b"\xff\x00", "10.0.0.1"),
    ],
)
def test_the_nearest_address_that_is_no_proxy(peer: str, forwarded: bytes | None, expected: str) -> None:
    assert TrustedProxies(["10.0.0.0/8", " 2001:db8::/64"]).client(peer, forwarded) == expected


def test_without_proxies_nobody_is_believed() -> None:
    assert TrustedProxies().client("10.0.0.1", b"198.51.100.7") == "10.0.0.1"


def test_a_network_that_is_none() -> None:
    with pytest.raises(ValueError, match="proxies"):
        TrustedProxies(["proxies.example"])


@rows(("proxies", "expected"), [(None, "10.0.0.1"), ("10.0.0.0/8", "198.51.100.7"), ("192.0.2.0/24", "10.0.0.1")])
async def test_a_request_has_the_address_of_its_client(proxies: str | None, expected: str, tmp_path: Path) -> None:
    seen: list[str] = []

    async def page(request: Request) -> Answer:
        seen.append(request.address)
        return Answer(200, b"", ())

    app = CollectorInMemory(tmp_path).app
    app._proxies = None if proxies is None else TrustedProxies([proxies])
    app._routes.add_page(Page("GET", "/address", page))
    forwarded = [(b"x-forwarded-for", b"192.0.2.66"), (b"x-forwarded-for", b"198.51.100.7, 10.0.0.2")]
    scope = {"type": "http", "method": "GET", "path": "/address", "headers": forwarded, "client": ("10.0.0.1", 5)}

    async def receive() -> Any:
        raise AssertionError("a page reads no body")

    async def send(message: Any) -> None:
        pass

    await app(scope, receive, send)
    assert seen == [expected]


@rows("wrong", ["10.0.0.0/33", "proxy", "10.0.0.1,,"])
def test_a_wrong_flag_is_told(wrong: str) -> None:
    with pytest.raises(SettingsError, match="--trusted-proxies"):
        load_settings(CollectorSettings, {"trusted_proxies": wrong})
