"""Where a visitor came from: channel and campaign from a link, or from members that a client has parsed already.

The same rules for every format. Pure; a link that cannot be read gives no origin, and never costs the event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

CLICK_IDS: Final = {
    "gclid": "google",
    "gbraid": "google",
    "wbraid": "google",
    "dclid": "google",
    "fbclid": "facebook",
    "yclid": "yandex",
    "ysclid": "yandex",
    "msclkid": "bing",
    "ttclid": "tiktok",
    "twclid": "twitter",
    "li_fat_id": "linkedin",
    "rdt_cid": "reddit",
    "igshid": "instagram",
    "rb_clickid": "vk",
}
"""Parameters that advertising networks append to a link, and the channel they stand for; the first one present wins."""
ORIGINS: Final = frozenset({"utm_source", "utm_campaign", *CLICK_IDS})
"""Every parameter that names an origin."""
_CACHED_CHARS: Final = 512
_PAIRS: Final = re.compile(rf"(?:^|[?&])(utm_source|utm_campaign|{'|'.join(CLICK_IDS)})=([^&#]+)")


class Origin(NamedTuple):
    """What is known of where a visitor came from."""

    channel: str | None = None
    campaign: str | None = None


UNKNOWN: Final = Origin()


def origin_of_link(link: object) -> Origin:
    """The origin that a URL states, or the query of one with or without its question mark."""
    if not isinstance(link, str) or "=" not in link:
        return UNKNOWN
    return _known_link(link) if len(link) <= _CACHED_CHARS else _origin_of(link)


def _origin_of(link: str) -> Origin:
    pairs = _PAIRS.findall(link)
    if not pairs:
        return UNKNOWN
    return origin_of_members({name: unquote_plus(value) for name, value in reversed(pairs)})


_known_link = lru_cache(maxsize=4096)(_origin_of)  # visitors of one campaign come by one link


def origin_of_members(members: Mapping[str, Any]) -> Origin:
    """The origin that members named as a link's parameters state: `utm_source`, `utm_campaign`, else a click id."""
    if ORIGINS.isdisjoint(members):
        return UNKNOWN
    channel = text_of(members.get("utm_source"))
    if channel is None:
        channel = next((owner for name, owner in CLICK_IDS.items() if members.get(name)), None)
    return Origin(channel, text_of(members.get("utm_campaign")))


def attribute(properties: dict[str, Any], *origins: Origin) -> None:
    """Add `channel` and `campaign` where they are absent: each of the first origin that knows it."""
    for origin in origins:
        if origin is UNKNOWN:
            continue
        channel, campaign = origin
        if channel and properties.get("channel") is None:
            properties["channel"] = channel
        if campaign and properties.get("campaign") is None:
            properties["campaign"] = campaign


def text_of(value: object) -> str | None:
    """A text with something in it, else None."""
    return value if isinstance(value, str) and value else None
