"""What the formats share that translate their members one by one: a verdict for each element, ids where a client sends
none, the order that an event is about. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

import xxhash

from producers.formats.port import Reading, Request
from producers.ingest.checks import Ingest
from producers.ingest.event import Event, Members
from producers.ingest.text import parse_event
from producers.ingest.verdicts import Outcome, RefusedError, Rejected, Sender
from schemas.ids import MAX_ID_CHARS
from schemas.properties import AMOUNTS
from schemas.reasons import RejectReason

Translate = Callable[[Members, bytes, int], Event]
"""(members of an element, the element as it was sent, its place in the request) -> event. May raise RefusedError."""
_ORDER_IDS: Final = ("orderId", "transaction_id", "transactionId")
_AMOUNTS: Final = frozenset(AMOUNTS)
_REVENUES: Final = ("revenue", "total")
_ORDER: Final = frozenset({*_ORDER_IDS, *_REVENUES})


def read_each(
    ingest: Ingest, elements: list[bytes], *, request: Request, sender: Sender, translate: Translate, id_member: str
) -> Reading:
    """One verdict for each element; `id_member` names the event in the verdict where it cannot be translated."""
    checked, limits, received_at_ms = ingest.checked, ingest.limits, request.received_at_ms
    verdicts: list[Outcome] = []
    for number, raw in enumerate(elements):
        members: Any = None
        try:
            members = parse_event(raw, limits)
            if type(members) is not dict:
                raise RefusedError(RejectReason.NOT_AN_OBJECT, "an event is a JSON object")
            verdicts.append(checked(translate(members, raw, number), sender=sender, received_at_ms=received_at_ms))
        except RefusedError as refusal:
            verdicts.append(Rejected(refusal.reason, refusal.detail, _named(members, id_member)))
    return Reading(elements, verdicts)


def content_id(prefix: str, about: str, *, raw: bytes = b"") -> str:
    """An id out of what was sent, so that the same thing sent again is a copy."""
    return f"{prefix}-{xxhash.xxh3_128_hexdigest(about.encode('utf-8', 'surrogatepass') + raw)}"


def random_id(prefix: str) -> str:
    """An id for an event whose retries cannot be recognised."""
    return f"{prefix}-{uuid.uuid4()}"


def take_order(properties: Members) -> None:
    """Add to an order the names that funnels read: `order_id`, and `value` where revenue was sent."""
    if _ORDER.isdisjoint(properties):
        return
    if properties.get("order_id") is None:
        _copy(properties, _ORDER_IDS, name="order_id")
    if _AMOUNTS.isdisjoint(properties):
        _copy(properties, _REVENUES, name="value")


def _copy(properties: Members, names: tuple[str, ...], *, name: str) -> None:
    for candidate in names:
        value = properties.get(candidate)
        if value is not None:
            properties[name] = value
            return


def id_of(value: object) -> str | int | None:
    """A value that can be an id, else None."""
    return value if type(value) is str or type(value) is int else None


def dict_of(value: object) -> Members:
    """An object's members; none of anything else."""
    return value if isinstance(value, dict) else {}


def _named(members: object, id_member: str) -> str | None:
    event_id = id_of(members.get(id_member)) if isinstance(members, dict) else None
    return None if event_id is None else str(event_id)[:MAX_ID_CHARS]
