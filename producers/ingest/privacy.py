"""What is left out of an event before it is stored: addresses of machines, e-mails in links, properties by name. Pure;
docs/security.md says what each rule is for.

The rules look at a record as it would be stored. Nearly all records hold nothing that they are about, and cost only a
search for a few bytes. Members that stay are kept byte for byte, so money stays as it was sent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from schemas.record import EventRecord, encode_event

IP_NAMES: Final = frozenset(
    {"ip", "$ip", "ip_address", "ipAddress", "user_ipaddress", "ip_override", "request_ip", "requestIP"}
)
"""Names of a client's address: those of Segment, PostHog, Snowplow, GA4 and RudderStack, and usual ones."""
DEEPEST: Final = 64
"""The checks allow less; what is nested deeper stays as it is."""
_PARAMETER: Final = re.compile(r"(?:^|[?&#])[^=&#?\s]{1,64}=([^&#\s]+)")
_AT, _PERCENT, _BACKSLASH = b"@%\\"
_Members = dict[str, msgspec.Raw]
_members: Final = msgspec.json.Decoder(_Members)
_elements: Final = msgspec.json.Decoder(list[msgspec.Raw])
_anything: Final = msgspec.json.Decoder()
_encode: Final = msgspec.json.Encoder().encode


class IpRule(StrEnum):
    """What is done with the address of a client's machine."""

    DROP = "drop"
    TRUNCATE = "truncate"
    KEEP = "keep"


class Privacy:
    """The rules of one installation. Addresses are looked for among the properties, in the context and in its traits.
    `deny`: properties and traits that are left out, however deep. `allow`: the only ones that stay, None for all; what
    a funnel reads belongs among them. Case makes no difference."""

    def __init__(
        self, *, ip: IpRule = IpRule.TRUNCATE, deny: Iterable[str] = (), allow: Iterable[str] | None = None
    ) -> None:
        self._ip = ip
        self._deny = frozenset(one.casefold() for one in deny)
        self._allow = None if allow is None else frozenset(one.casefold() for one in allow)
        self._is_always = bool(self._deny) or self._allow is not None

    def encode(self, record: EventRecord, *, may_hold_ip: bool) -> bytes:
        """The bytes of a record, without what the rules leave out. `may_hold_ip`: a member of IP_NAMES is there."""
        value = encode_event(record)
        if not (may_hold_ip or self._is_always or _holds_mail(value)):
            return value
        record.properties = self._object(_as_raw(record.properties), is_property=True, is_top=True)
        if record.context is not None:
            record.context = self._object(_as_raw(record.context), is_property=False, is_top=True)
        return encode_event(record)

    def _object(self, raw: msgspec.Raw, *, is_property: bool, is_top: bool = False, depth: int = 0) -> msgspec.Raw:
        """The object without what the rules leave out; the same object where that is nothing."""
        members = _members.decode(raw)
        remaining: _Members = {}
        for name, value in members.items():
            if is_property and self._is_left_out(name, is_top):
                continue
            left: msgspec.Raw | None
            if is_top and name in IP_NAMES:
                left = self._address(value)
            elif name == "traits" and not is_property and _first(value) == b"{":
                left = self._object(value, is_property=True, is_top=True, depth=depth + 1)
            else:
                left = self._value(value, is_property, depth)
            if left is not None:
                remaining[name] = left
        return raw if _is_same(remaining, members) else msgspec.Raw(_encode(remaining))

    def _is_left_out(self, name: str, is_top: bool) -> bool:
        folded = name.casefold()
        return folded in self._deny or (is_top and self._allow is not None and folded not in self._allow)

    def _value(self, raw: msgspec.Raw, is_property: bool, depth: int) -> msgspec.Raw:
        first = _first(raw)
        if first == b'"':
            return _without_mails(raw)
        if depth >= DEEPEST:
            return raw
        if first == b"{":
            return self._object(raw, is_property=is_property, depth=depth + 1)
        if first == b"[":
            elements = _elements.decode(raw)
            remaining = [self._value(element, is_property, depth + 1) for element in elements]
            is_same = all(element is before for element, before in zip(remaining, elements, strict=True))
            return raw if is_same else msgspec.Raw(_encode(remaining))
        return raw

    def _address(self, raw: msgspec.Raw) -> msgspec.Raw | None:
        """What stays of an address. A text that is no address is dropped too: it may be two of them, or one with a
        port."""
        if self._ip is IpRule.KEEP or _first(raw) != b'"':
            return raw
        network = truncate_ip(str(_anything.decode(raw))) if self._ip is IpRule.TRUNCATE else None
        return None if network is None else msgspec.Raw(_encode(network))


def _as_raw(value: msgspec.Raw | dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(_encode(value)) if isinstance(value, dict) else value


@lru_cache(maxsize=16_384)
def truncate_ip(text: str) -> str | None:
    """The network of an address (IPv4 /24, IPv6 /48), which names a place and no household; None where the text is no
    address."""
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    bits = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False).network_address)


def _holds_mail(value: bytes) -> bool:
    """Called for every event: a search for one byte as a number, because `in` with bytes costs ten times as much."""
    if _AT in value:
        return True
    if _PERCENT in value and (value.find(b"%40") >= 0 or value.find(b"%2540") >= 0):
        return True
    return _BACKSLASH in value and value.find(b"\\u00") >= 0  # an escape may spell any of these


def clean_link(text: str) -> str:
    """The text, with the value removed from every parameter of a query that holds an e-mail."""
    return _PARAMETER.sub(_emptied, text)


def _emptied(match: re.Match[str]) -> str:
    whole, value = match.group(), match.group(1)
    return whole.removesuffix(value) if is_mail_in(unquote(unquote(value))) else whole


def is_mail_in(text: str) -> bool:
    """Whether a text may hold an e-mail: something before an @, and a dot after it."""
    name, sign, domain = text.rpartition("@")
    return bool(sign) and name[-1:].isalnum() and "." in domain.strip(".")


def _without_mails(raw: msgspec.Raw) -> msgspec.Raw:
    text = _anything.decode(raw)
    if "=" not in text or not ("@" in text or "40" in text):
        return raw
    cleaned = clean_link(text)
    return raw if cleaned == text else msgspec.Raw(_encode(cleaned))


def _first(raw: msgspec.Raw) -> bytes:
    return bytes(memoryview(raw)[:1])


def _is_same(remaining: _Members, members: _Members) -> bool:
    return len(remaining) == len(members) and all(remaining[name] is value for name, value in members.items())
