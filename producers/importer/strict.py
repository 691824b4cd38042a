"""What an import refuses although a collector would count it and go on. Pure: the collector's own checks, and stricter.

A person at a terminal can correct a file; a client in a browser cannot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from producers.importer.problems import Kind, Problem
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Rejected, Scope, Sender
from schemas.ids import is_placeholder
from schemas.money import clean_currency, clean_minor, parse_minor
from schemas.names import normalise_name
from schemas.properties import AMOUNTS
from schemas.unknown_names import ABOUT_PEOPLE

DAMAGED_ID: Final = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE]\+?\d+|\d+\.0+")
"""`1.21333E+13`, `17850.0`: what a spreadsheet makes of a long number."""
LATE_HINT: Final = "history goes with --historical into a space that has counted nothing yet, or into a rebuild"
IDS: Final = ("id", "anonymous_id", "contact_id", "user_id")
_PROPERTY_IDS: Final = ("order_id", "refund_id", "deal_id")
_SECONDS: Final = (946_684_800, 4_102_444_800)
"""2000 to 2100 in seconds: as milliseconds they are days of January and February 1970."""


class _Event(msgspec.Struct):
    id: Any = None
    anonymous_id: Any = None
    contact_id: Any = None
    user_id: Any = None
    properties: Any = None


class _Record(msgspec.Struct):
    occurred_at_ms: int


_decode: Final = msgspec.json.Decoder(_Event).decode
_record: Final = msgspec.json.Decoder(_Record).decode


@dataclass(slots=True)
class Strict:
    """Checks events one by one. `ingest` knows the funnels' names if names are to be checked."""

    ingest: Ingest
    now_ms: int
    is_historical: bool = True
    tolerated: frozenset[Kind] = frozenset()
    earliest_ms: int = 0
    """What occurred before is late."""
    looked_at_by: str = "no funnel"
    _sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self._sender = Sender(scope=Scope.HISTORICAL if self.is_historical else Scope.SERVER)

    def problem_of(self, raw: bytes) -> Problem | None:
        """The first thing that is wrong with an event, None where nothing is."""
        return self.judged(raw)[1]

    def judged(self, raw: bytes) -> tuple[Accepted | None, Problem | None]:
        """(what the collector would store, what is wrong with it)."""
        received_at_ms = None if self.is_historical else self.now_ms
        verdict = self.ingest.native(raw, sender=self._sender, received_at_ms=received_at_ms)
        if isinstance(verdict, Rejected):
            return None, Problem(verdict.reason, verdict.detail)
        if not isinstance(verdict, Accepted):
            return None, None  # a tick
        for kind, detail in self._doubts(verdict, raw):
            if kind not in self.tolerated:
                return None, Problem(kind, detail)
        return verdict, None

    def _doubts(self, verdict: Accepted, raw: bytes) -> list[tuple[Kind, str]]:
        doubts = []
        event = _decode(raw) if not verdict.repairs else _Event()
        properties = event.properties if isinstance(event.properties, dict) else {}
        if verdict.placeholder_ids:
            doubts.append((Kind.PLACEHOLDER, _placeholder_in(event)))
        if damaged := _damaged_in(event, properties):
            doubts.append((Kind.ID, damaged))
        if not verdict.is_known and normalise_name(verdict.name) not in ABOUT_PEOPLE:
            doubts.append((Kind.NAME, f"{verdict.name!r} is looked at by {self.looked_at_by}"))
        if amount := amount_fault(properties):
            doubts.append((Kind.AMOUNT, amount))
        return doubts + self._doubts_of_time(verdict)

    def _doubts_of_time(self, verdict: Accepted) -> list[tuple[Kind, str]]:
        at_ms = _record(verdict.value).occurred_at_ms
        if verdict.was_clamped or at_ms > self.now_ms + self.ingest.limits.future_ms:
            return [(Kind.TIME, "the time lies in the future; is its unit right (milliseconds), or its time zone?")]
        if _SECONDS[0] <= at_ms < _SECONDS[1]:
            return [(Kind.TIME, f"{at_ms} looks like seconds; write milliseconds since 1970")]
        if at_ms < self.earliest_ms and verdict.key is not None:  # spend is never late
            return [(Kind.LATE, f"is too old to be counted as it is sent; {LATE_HINT}")]
        return []


def _placeholder_in(event: _Event) -> str:
    for name in IDS[1:]:
        value = getattr(event, name)
        if value is not None and is_placeholder(str(value)):
            return f"{name} {str(value)[:32]!r} stands for nothing: everybody who has it would be one person"
    return "an id stands for nothing"


def _damaged_in(event: _Event, properties: dict[str, Any]) -> str | None:
    ids = [(name, getattr(event, name)) for name in IDS]
    ids += [(name, properties.get(name)) for name in _PROPERTY_IDS]
    for name, value in ids:
        if isinstance(value, str | float) and DAMAGED_ID.fullmatch(str(value).strip()):
            return f"{name} {value!r} is a number that a spreadsheet has rounded; export ids as text"
    return None


def amount_fault(properties: dict[str, Any]) -> str | None:
    """Why an event's money cannot be read, None where it can or there is none."""
    currency = properties.get("currency")
    code = "USD" if currency is None else clean_currency(currency)
    for name in (*AMOUNTS, "cost", "discount"):
        stated = properties.get(name)
        if stated is None:
            continue
        if code is None:
            return f"currency {currency!r} is none; write three letters, e.g. EUR"
        read = clean_minor(stated) if name == "value_minor" else _minor(stated, code)
        if read is None:
            return f"{name} {stated!r} is no amount{_advice(stated)}"
    return None


def _minor(stated: object, code: str) -> int | None:
    return parse_minor(stated, code) if isinstance(stated, str | int | float) else None


def _advice(stated: object) -> str:
    text = str(stated).strip()
    if text.startswith(("-", "(")):
        return "; money back is an event `refund` with a positive value"
    if "," in text:
        return "; write a point before the decimals and no other mark, or name the marks in an import file"
    return "; write digits and a point, e.g. 1234.50, and the currency apart"
