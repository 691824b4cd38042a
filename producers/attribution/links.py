"""Campaign tags and click ids of an address, in whatever spelling they come: the counterpart of the snippet's `clean`.

Pure. tests/support/addresses.json is the table of both. An address that cannot be read has no tags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

Tags = Mapping[str, str]
"""`utm_source`, `gclid`, ... -> value."""


class Network(NamedTuple):
    """What a click id says where no tags do."""

    source: str
    medium: str


CLICK_IDS: Final[Mapping[str, Network]] = {
    "gclid": Network("google", "cpc"),
    "gbraid": Network("google", "cpc"),
    "wbraid": Network("google", "cpc"),
    "dclid": Network("google", "display"),
    "msclkid": Network("bing", "cpc"),
    "yclid": Network("yandex", "cpc"),
    "ysclid": Network("yandex", "organic"),
    "ttclid": Network("tiktok", "paid"),
    "twclid": Network("twitter", "paid"),
    "li_fat_id": Network("linkedin", "paid"),
    "rdt_cid": Network("reddit", "paid"),
    "rb_clickid": Network("vk", "paid"),
    "fbclid": Network("facebook", "social"),
    "igshid": Network("instagram", "social"),
}
"""The first one that is present counts. Facebook and Instagram mark every link that leaves them, paid or not."""
TAG_NAMES: Final = frozenset({"utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", *CLICK_IDS})
"""Names that are looked for among the properties of an event."""
NO_TAGS: Final[Tags] = MappingProxyType({})
MAX_CHARS: Final = 200
"""Of a value; the snippet keeps as many."""
_CACHED_CHARS: Final = 512
_TAG: Final = re.compile(r"utm_\w+|\w*cl(?:ick|k)?id|gclsrc|[gw]braid|li_fat_id|rdt_cid|igshid", re.ASCII)
_NO_CLICK_IDS: Final = frozenset({"gclsrc"})


def tags_of(address: object) -> Tags:
    """The tags of a URL or of a query with or without its question mark. What is in the query comes before what is in
    the fragment (`#/cart?utm_source=mail`, `#utm_source=mail`); the first value that is not empty counts."""
    if not isinstance(address, str) or "=" not in address:
        return NO_TAGS
    return _known(address) if len(address) <= _CACHED_CHARS else _read(address)


def _read(address: str) -> Tags:
    tags: dict[str, str] = {}
    for pair in _query_of(address).split("&"):
        name, _, value = pair.partition("=")
        if not value:
            continue
        name = unquote_plus(name).rpartition(";")[2].lower()  # `amp;utm_source` of a link that was escaped twice
        if name not in tags and _TAG.fullmatch(name):
            tags[name] = unquote_plus(value)[:MAX_CHARS]
    return tags or NO_TAGS


_known = lru_cache(maxsize=4096)(_read)  # visitors of one campaign come by one link


def _query_of(address: str) -> str:
    """The query, and what is one in the fragment."""
    front, _, fragment = address.partition("#")
    path, mark, query = front.partition("?")
    if not mark and "/" not in path:
        query = path
    route, mark, inner = fragment.partition("?")
    if not mark and "=" in route:
        inner = route
    return f"{query}&{inner.partition('?')[0]}" if inner else query


def tags_among(members: Mapping[str, object]) -> Tags:
    """Tags that a client has read already: members under their names, texts only."""
    if TAG_NAMES.isdisjoint(members):
        return NO_TAGS
    tags = ((name, members[name]) for name in members if name in TAG_NAMES)
    return {name: value[:MAX_CHARS] for name, value in tags if isinstance(value, str) and value}


def click_id_of(tags: Tags) -> tuple[str, str] | None:
    """(name, value) of the click id: of a network that is known, else of any."""
    for name in CLICK_IDS:
        if name in tags:
            return name, tags[name]
    for name, value in tags.items():
        if not name.startswith("utm_") and name not in _NO_CLICK_IDS:
            return name, value
    return None
