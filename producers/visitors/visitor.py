"""Who is behind a request that a visitor's own machine made, and the properties that follow for its events.

Pure. A server's request says nothing of a visitor: its events are people's unless they say otherwise themselves, by
their property `traffic` or the agent in their context.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from producers.http.address import Networks
from producers.http.messages import Headers
from producers.visitors.agents import device_of, is_machine, platform_of
from schemas.properties import TRAFFIC
from schemas.traffic import BOT, HUMAN, PREFETCH, STAFF, TRAFFIC_CLASSES, traffic_of

Members = Mapping[str, Any]
_PURPOSES: Final = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
_NO_COUNTRY: Final = frozenset({"XX", "T1", "ZZ"})
"""What proxies write where they do not know it, or for Tor."""
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
AGENTS: Final = ("userAgent", "user_agent")
NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Visitor:
    """What one request says."""

    agent: str = ""
    traffic: str = HUMAN
    """Of its headers and its address: `prefetch`, `staff`."""
    country: str | None = None
    is_certain: bool = True
    """A visitor's machine made the request; otherwise an event must have an address of a page to be a visitor's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitorRules:
    """How an installation reads requests."""

    staff_addresses: Networks = field(default_factory=Networks)
    staff_cookie: str = ""
    country_header: bytes = b""

    def visitor_of(
        self, headers: Headers, address: str, *, is_proxy_trusted: bool = False, is_certain: bool = True
    ) -> Visitor:
        """The visitor of a request from `address`. A country is believed only of a trusted proxy."""
        traffic = HUMAN
        if any(b"prefetch" in headers.get(name, b"") or headers.get(name) == b"preview" for name in _PURPOSES):
            traffic = PREFETCH
        elif address in self.staff_addresses or self._has_cookie(headers):
            traffic = STAFF
        agent = headers.get(b"user-agent", b"").decode("latin-1")
        country = self._country(headers) if is_proxy_trusted and self.country_header else None
        return Visitor(agent, traffic, country, is_certain)

    def _has_cookie(self, headers: Headers) -> bool:
        if not self.staff_cookie or b"cookie" not in headers:
            return False
        pairs = headers[b"cookie"].decode("latin-1").split(";")
        return any(name.strip() == self.staff_cookie and value for name, _, value in (p.partition("=") for p in pairs))

    def _country(self, headers: Headers) -> str | None:
        stated = headers.get(self.country_header, b"").decode("latin-1").strip().upper()
        return stated if _COUNTRY.fullmatch(stated) and stated not in _NO_COUNTRY else None


def properties_of(
    properties: Members, context: Members, *, visitor: Visitor | None, traffic: str | None, may_say_human: bool
) -> Mapping[str, str]:
    """What is to stand among the properties: `traffic` where it is not a person's, and `country`, `platform` and
    `device` where the event states none. `traffic` is the class of the write key; `may_say_human`: the sender is
    believed that an event is a person's."""
    if visitor is not None and not visitor.is_certain and "page" not in context:
        visitor = None
    agent = _agent_of(context)
    if visitor is None and agent is None and traffic is None and TRAFFIC not in properties:
        return NOTHING
    if agent is None and visitor is not None:
        agent = visitor.agent
    properties_made: dict[str, str] = {}
    is_believed = may_say_human or traffic_of(properties.get(TRAFFIC)) != HUMAN
    stated = _stated(properties) if is_believed else None
    made_by = stated or traffic or _seen(visitor, agent)
    if made_by != traffic_of(properties.get(TRAFFIC)):
        properties_made[TRAFFIC] = made_by
    if visitor is not None and visitor.country is not None and properties.get("country") is None:
        properties_made["country"] = visitor.country
    if agent and made_by != BOT:
        _add_device(properties_made, properties, agent=agent)
    return properties_made


def _agent_of(context: Members) -> str | None:
    for name in AGENTS:
        value = context.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return None


def _stated(properties: Members) -> str | None:
    value = properties.get(TRAFFIC)
    text = value.strip().lower() if isinstance(value, str) else ""
    return text if text in TRAFFIC_CLASSES else None


def _seen(visitor: Visitor | None, agent: str | None) -> str:
    if visitor is not None and visitor.traffic != HUMAN:
        return visitor.traffic
    return BOT if agent is not None and is_machine(agent) else HUMAN


def _add_device(into: dict[str, str], properties: Members, *, agent: str) -> None:
    if properties.get("platform") is None and (platform := platform_of(agent)) is not None:
        into["platform"] = platform
    if properties.get("device") is None and (device := device_of(agent)) is not None:
        into["device"] = device
