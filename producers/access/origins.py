"""Which pages may use a browser's key: exact origins, and all below a domain. Pure.

A list keeps a key that was copied from one page from being used on another one. It holds browsers only: a program
that writes its own requests writes their origin too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from producers.http.body import RequestError
from schemas.reasons import RejectReason

_EXACT: Final = re.compile(r"https?://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_WILDCARD: Final = re.compile(r"(?:https?://)?\*\.[a-z0-9_-]+(?:\.[a-z0-9_-]+)+(?::\d{1,5})?")
_ORIGIN: Final = re.compile(r"(https?)://([^/?#@\s\\]+)(?=[/?#]|$)")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def check_origin(pattern: str) -> None:
    """Raises ValueError for an entry of a list that could never match."""
    if not (_EXACT.fullmatch(pattern) or _WILDCARD.fullmatch(pattern)):
        raise ValueError(
            f"origin {pattern[:80]!r} is none; write it as the browser sends it, in lower case and without a path: "
            "https://shop.example, http://localhost:3000, or *.shop.example for all below a domain"
        )


def origin_of(headers: dict[bytes, bytes]) -> str | None:
    """Where the page of a request is from: `Origin`, else that of `Referer` (an image has no other)."""
    sent = headers.get(b"origin") or headers.get(b"referer")
    if sent is None:
        return None
    match = _ORIGIN.match(sent.decode("latin-1").lower())
    if match is None:
        return None
    scheme, host = match.groups()
    return f"{scheme}://{host.removesuffix(_DEFAULT_PORTS[scheme])}"


def is_from_page(headers: dict[bytes, bytes]) -> bool:
    """Whether a browser sends for a page; a picture's request has no `Origin`. What somebody types into a browser is
    his own request: `Sec-Fetch-Site: none`."""
    return b"origin" in headers or headers.get(b"sec-fetch-site", b"none") != b"none"


@lru_cache(maxsize=4096)
def is_listed(origin: str | None, patterns: tuple[str, ...]) -> bool:
    """Whether one of the entries stands for the origin."""
    return origin is not None and any(_matches(origin, one) for one in patterns)


def _matches(origin: str, pattern: str) -> bool:
    sent_scheme, _, host = origin.partition("://")
    scheme, _, listed = pattern.rpartition("://")
    if scheme not in ("", sent_scheme):
        return False
    listed = listed.removesuffix(_DEFAULT_PORTS[sent_scheme])
    return host.endswith(listed[1:]) if listed.startswith("*.") else host == listed


def check_page(headers: dict[bytes, bytes], patterns: tuple[str, ...]) -> None:
    """Raises RequestError where the page of a request is not listed."""
    origin = origin_of(headers)
    if not is_listed(origin, patterns):
        raise RequestError(
            RejectReason.WRONG_ORIGIN,
            "the write key does not take events from this page",
            f"{origin or 'a request without Origin'} is not among the origins of the key",
        )
