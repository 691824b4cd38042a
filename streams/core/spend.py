"""Advertising spend: statements of what a day cost, which no person made (semantics.md 5). Pure.

A statement is known by its source, day, channel, campaign, the funnel's other dimensions and its currency. The one that
was received last stands, of one moment that with the greater id; so a corrected file is sent again as it is. What
stands is a fact of the partition (`facts`): all statements share one (`producers.sink.port`), so that a later one meets
the one it replaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import xxhash

from schemas.counters import currency_text
from schemas.names import clean_value
from schemas.spend import KNOWN_BY, day_number
from schemas.times import MINUTE_MS
from streams.core.calendar import Calendar
from streams.core.contributions import Contributions
from streams.core.decode import UNREADABLE
from streams.core.facts import Facts
from streams.state import SPEND_FACT


class Statement(NamedTuple):
    """One statement, read."""

    key: bytes
    """Of the fact that holds what stands."""
    received_at_ms: int
    id: str
    minor: int
    currency: int
    day: int
    """Days since 1970-01-01, in the funnel's time zone."""
    properties: Any
    """Of its record: they say under which values it counts."""


def day_of(stated: object, occurred_at_ms: int, calendar: Calendar) -> int | None:
    """The day of a statement: the one that it names, else that on which it occurred. None: it names none that is."""
    if stated is None:
        return calendar.day(max(occurred_at_ms, 0) // MINUTE_MS)
    return day_number(stated)


def properties_of(value: bytes) -> Mapping[str, Any]:
    """All properties of a record; none where it has none that can be read."""
    try:
        properties = msgspec.json.decode(value).get("properties")
    except (*UNREADABLE, AttributeError):
        return {}
    return properties if isinstance(properties, dict) else {}


def key_of(
    funnel_id: str, source: str, day: int, currency: int, properties: Mapping[str, Any], own: Iterable[Any]
) -> bytes:
    """Of the fact of a statement; `own` are its values of the funnel's dimensions."""
    values = [clean_value(value) for value in (*(properties.get(name) for name in KNOWN_BY), *own)]
    text = "\0".join([funnel_id, source, str(day), currency_text(currency), *values])
    return bytes([SPEND_FACT]) + xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))


def book(statement: Statement, code: int, facts: Facts, into: Contributions) -> bool:
    """Count a statement in place of the one that stands; False where that one stands still."""
    packed, before = facts.get(statement.key), 0
    if packed is not None:
        received_at_ms, identity, before = msgspec.msgpack.decode(packed, type=tuple[int, str, int])
        if (statement.received_at_ms, statement.id) <= (received_at_ms, identity):
            return False
    stands = (statement.received_at_ms, statement.id, statement.minor)
    facts.put(statement.key, msgspec.msgpack.encode(stands))
    into.spend[statement.day, code, statement.currency] += statement.minor - before
    return True
