"""Whose address a request has: the peer's, and what trusted proxies say."""

from __future__ import annotations

import pytest

from producers.address import TrustedProxies


@pytest.mark.parametrize(
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
