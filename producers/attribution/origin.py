"""From what an event says of its address to the properties that say where the visitor came from.

Pure but for the public list that `sites` reads once. An address that cannot be read says nothing, and never costs the
event. What an event states itself is never replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from producers.attribution.channels import Channels, Visit
from producers.attribution.links import CLICK_IDS, MAX_CHARS, NO_TAGS, TAG_NAMES, Tags, click_id_of, tags_among, tags_of
from producers.attribution.sites import host_of, registered_domain, site_of_domain, site_of_source

Members = Mapping[str, Any]
_PROPERTY_OF: Final = {
    "utm_source": "source",
    "utm_medium": "medium",
    "utm_campaign": "campaign",
    "utm_content": "content",
    "utm_term": "term",
}
_OF_CAMPAIGN: Final = {**{name.removeprefix("utm_"): name for name in _PROPERTY_OF}, "name": "utm_campaign"}
"""Members of `context.campaign` as Segment's clients write it."""
PLACES: Final = frozenset({"campaign", "page", "last_touch", "first_touch"})
DIRECT: Final = Visit(source="(direct)", medium="(none)")
NOTHING: Final[Mapping[str, str]] = {}


class Origins:
    """Finds origins with the channel groups of an installation."""

    def __init__(self, channels: Channels | None = None) -> None:
        self._channel_of = lru_cache(maxsize=4096)((channels or Channels()).channel_of)

    def properties_of(self, properties: Members, context: Members, *, knows_referrer: bool = True) -> Mapping[str, str]:
        """The properties to add. `knows_referrer`: no page before means that there was none."""
        if PLACES.isdisjoint(context) and TAG_NAMES.isdisjoint(properties):
            return NOTHING
        origin = self._origin_of(properties, context, knows_referrer=knows_referrer)
        return {name: value for name, value in origin.items() if properties.get(name) is None}

    def _origin_of(self, properties: Members, context: Members, *, knows_referrer: bool) -> dict[str, str]:
        page = _object(context, "page")
        tags = _tags_of_event(properties, context=context, page=page)
        address, referrer = page.get("url"), page.get("referrer")
        before = _external(referrer, address)
        origin = self._of(tags, before) or self._of_touches(context, tags)
        if origin is not None:
            return origin
        is_first = isinstance(address, str) and address and knows_referrer and not referrer_host(referrer)
        return {**_named(tags), "channel": self._channel_of(DIRECT)} if is_first else _named(tags)

    def _of_touches(self, context: Members, tags: Tags) -> dict[str, str] | None:
        """By the last address with tags, else by how the browser came for the first time."""
        first = _object(context, "first_touch")
        for touch in (_object(context, "last_touch"), first):
            earlier = {**tags_of(touch.get("url")), **tags_among(touch), **tags}
            origin = self._of(earlier, _external(touch.get("referrer"), touch.get("url")))
            if origin is not None:
                return origin
        if first.get("url") and not referrer_host(first.get("referrer")):
            return {**_named(tags), "channel": self._channel_of(DIRECT)}
        return None

    def _of(self, tags: Tags, before: str | None) -> dict[str, str] | None:
        """By tags, else by the page before; None where neither says anything."""
        click_id = click_id_of(tags)
        source, medium = tags.get("utm_source", ""), tags.get("utm_medium", "")
        if not (source or medium or click_id):
            return None if before is None else self._of_referrer(tags, before)
        origin = _named(tags)
        if click_id is not None:
            network = CLICK_IDS.get(click_id[0])
            if network is not None and (not source or source.casefold() == network.source):
                origin = {"source": network.source, "medium": network.medium, **origin}
        if before is not None:
            origin["referrer_domain"] = before
        return self._with_channel(origin, tagged=True)

    def _of_referrer(self, tags: Tags, before: str) -> dict[str, str]:
        site = site_of_domain(before)
        is_search = site is not None and site.kind == "search"
        origin = {
            "source": before if site is None else site.name.lower(),
            "medium": "organic" if is_search else "referral",
            "referrer_domain": before,
        }
        return self._with_channel({**origin, **_named(tags)}, tagged=False)

    def _with_channel(self, origin: dict[str, str], *, tagged: bool) -> dict[str, str]:
        source, before = origin.get("source", ""), origin.get("referrer_domain", "")
        site = site_of_source(source) if tagged else site_of_domain(before)
        visit = Visit(
            source=source,
            medium=origin.get("medium", ""),
            campaign=origin.get("campaign", ""),
            content=origin.get("content", ""),
            term=origin.get("term", ""),
            referrer=before,
            click_id=origin.get("click_id_type", ""),
            site="" if site is None else site.kind,
            tagged=tagged,
        )
        origin["channel"] = self._channel_of(visit)
        return origin


def _object(members: Members, name: str) -> Members:
    value = members.get(name)
    return value if isinstance(value, dict) else {}


def _tags_of_event(properties: Members, *, context: Members, page: Members) -> Tags:
    """Of all places, the nearest first."""
    of_campaign = {
        _OF_CAMPAIGN[name]: value[:MAX_CHARS]
        for name, value in _object(context, "campaign").items()
        if name in _OF_CAMPAIGN and isinstance(value, str) and value
    }
    places = (tags_among(properties), of_campaign, tags_of(page.get("search")), tags_of(page.get("url")))
    stated = [tags for tags in places if tags]
    if len(stated) < 2:
        return stated[0] if stated else NO_TAGS
    return {name: value for tags in reversed(stated) for name, value in tags.items()}


def _named(tags: Tags) -> dict[str, str]:
    properties = {_PROPERTY_OF[name]: value for name, value in tags.items() if name in _PROPERTY_OF}
    click_id = click_id_of(tags)
    if click_id is not None:
        properties["click_id_type"], properties["click_id"] = click_id
    return properties


def referrer_host(referrer: object) -> str | None:
    """The host of the page before; None of what is no address (`$direct`, an empty text)."""
    return host_of(referrer) if isinstance(referrer, str) and ":" in referrer else None


def _external(referrer: object, address: object) -> str | None:
    """The domain of the page before, unless it is a page of the same site."""
    host = referrer_host(referrer)
    if host is None:
        return None
    own = host_of(address) if isinstance(address, str) and ":" in address else None
    if own is not None and (own == host or registered_domain(own) == registered_domain(host)):
        return None
    return host
