"""What a delivery of a webhook says, before it is an event: values, and careful ways to read JSON whose shape is not
promised.

Pure. A vendor's module reads a `RawDelivery` into `WebhookEvent`s; `producers.webhooks.mapper` makes events of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson
from msgspec.structs import replace

from producers.http.body import RequestError
from producers.ingest.event import Members
from producers.ingest.times import MAX_MS, parse_time_ms
from schemas.money import minor_digits
from schemas.properties import ORDER_RESTATED, ORDER_WITHDRAWN
from schemas.reasons import RejectReason

WITHDRAWN: Final = "order.withdrawn"
RESTATED: Final = "order.restated"
ORDER_STAGES: Final[dict[str, str | None]] = {WITHDRAWN: ORDER_WITHDRAWN, RESTATED: ORDER_RESTATED}
"""Of the stage map of every vendor that tells of orders: a sale that is none any more, a sale of another amount."""


class Further(msgspec.Struct, frozen=True, gc=False):
    """What a delivery says besides its own event, about the same thing. Of its `keys` the first that the map has
    wins, as of an event's own; the last is the vendor's name for all of its kind, which names it. `version` tells apart
    what is said twice."""

    keys: tuple[str, ...]
    version: str = ""
    occurred_ms: int | None = None


class WebhookEvent(msgspec.Struct, gc=False):
    """One thing that happened at the vendor.

    `keys` are looked up in the hook's stage map, the first that is there wins; `type` is what the vendor calls it: a
    type that the map does not have becomes the event `<provider>_<type>`. `subject` names the person in the vendor's
    own words (`customer:cus_1`), where there is no id, e-mail or phone.
    """

    id: str
    type: str
    element: bytes
    subject: str
    keys: tuple[str, ...] = ()
    is_stage: bool = False
    """A stage of a pipeline: one that the map does not know is rejected, so that somebody looks."""
    occurred_ms: int | None = None
    is_time_unreadable: bool = False
    user_id: str | None = None
    anonymous_id: str | None = None
    email: str | None = None
    phone: str | None = None
    properties: Members = {}
    context: Members = {}
    needs_person: bool = False
    """Counts only where it says who paid: another event of the same sale will. Else it stays `<provider>_<type>`."""
    test_mark: str | None = None
    """What of the vendor's says that this is not real (`livemode is false`); None: nothing does."""
    deal: str | None = None
    """Set where the CRM knows more than the webhook: the number that the enricher asks for."""
    thing: str | None = None
    """The vendor's own name of the deal or order. It is linked to the person, so that a later delivery that names
    nobody (the deal is deleted, the money goes back) is that person's."""
    further: tuple[Further, ...] = ()
    refunds_follow: bool = False
    """The vendor tells by itself what money went back: a withdrawal is no refund besides."""


class Delivery(msgspec.Struct, gc=False):
    """One delivery as it was read: its events, and the vendor's name of it."""

    events: list[WebhookEvent]
    id: str | None = None


def all_events_of(event: WebhookEvent) -> list[WebhookEvent]:
    """The event, and what its delivery says besides."""
    return [event, *(_besides(event, one) for one in event.further), *_link(event)]


def _link(event: WebhookEvent) -> list[WebhookEvent]:
    """An event has one id of a device: where it is the visitor's, an event of its own links the order."""
    is_known = event.user_id or event.email or event.phone
    if event.thing is None or event.anonymous_id is None or not is_known or event.test_mark is not None:
        return []
    name = f"{event.type}_link"
    link = replace(event, id=f"{event.id}:link", type=name, anonymous_id=None, properties={}, further=())
    link.keys, link.is_stage, link.needs_person = (), False, False
    return [link]


def _besides(event: WebhookEvent, further: Further) -> WebhookEvent:
    kind = further.keys[-1]
    is_valued = not (event.refunds_follow and WITHDRAWN in further.keys)
    return replace(
        event,
        id=":".join(part for part in (event.id, kind, further.version) if part),
        type=f"{event.type}_{kind.replace('/', '.').rpartition('.')[2]}",
        keys=further.keys,
        is_stage=False,
        needs_person=False,
        occurred_ms=further.occurred_ms or event.occurred_ms,
        properties=event.properties if is_valued else without_amount(event.properties),
        further=(),
    )


def without_amount(properties: Members) -> Members:
    """Of a withdrawal whose refunds are told by themselves."""
    return {name: value for name, value in properties.items() if name not in ("value", "currency")}


def parse_json(body: bytes) -> Any:
    """The body as JSON. Raises RequestError."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(RejectReason.MALFORMED_JSON, "the body is not valid JSON", str(error)) from None


def parse_object(body: bytes) -> Members:
    """The body as a JSON object. Raises RequestError."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise RequestError(RejectReason.NOT_AN_OBJECT, "the body of this webhook is a JSON object")
    return value


def members(value: object) -> Members:
    """The object, or an empty one."""
    return value if value.__class__ is dict else {}


def items(value: object) -> list[Members]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(*values: object) -> str | None:
    """The first that is a text or a number and not blank, as text."""
    for value in values:
        kind = value.__class__  # of parsed JSON and forms: no subclasses
        if kind is str or kind is int or kind is float:
            stripped = str(value).strip()
            if stripped:
                return stripped
    return None


def integer(value: object) -> int | None:
    """A whole number, also as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.strip().lstrip("-").isdigit() and len(value) <= 18:
        return int(value)
    return None


def moment(value: object, *, unit_ms: int = 1) -> int | None:
    """Epoch milliseconds of a number of `unit_ms` or of a text with a date and time."""
    number = integer(value)
    if number is not None:
        milliseconds = number * unit_ms
        return milliseconds if 0 < milliseconds <= MAX_MS else None
    return parse_time_ms(value[:64]) if isinstance(value, str) else None


def major(minor: object, currency: str | None, *, digits: int | None = None) -> str | None:
    """Exact text in major units of an amount in minor ones."""
    amount = integer(minor)
    if amount is None or currency is None:
        return None
    places = minor_digits(currency) if digits is None else digits
    if not places:
        return str(amount)
    sign, figures = "-" if amount < 0 else "", str(abs(amount)).rjust(places + 1, "0")
    return f"{sign}{figures[:-places]}.{figures[-places:]}"


def present(properties: Members) -> Members:
    """Without what is absent."""
    return {name: value for name, value in properties.items() if value is not None}


def delivery_of(events: list[WebhookEvent]) -> Delivery:
    """A delivery whose vendor gives it no name: it is named after its events."""
    if len(events) < 2:
        return Delivery(events, (events[0].id or None) if events else None)
    ids = "\n".join(sorted(event.id for event in events))
    return Delivery(events, hashlib.sha256(ids.encode()).hexdigest())


def compact(value: object) -> bytes:
    """JSON of a part of a delivery: what a dead letter of it would hold."""
    return orjson.dumps(value)


@dataclass(frozen=True, slots=True)
class RawDelivery:
    """A delivery as a vendor's module reads it. `account` names the vendor's account (default: the hook)."""

    body: bytes
    headers: Mapping[bytes, bytes]
    account: str
    currency: str | None = None
    """Of amounts that come without one."""

    def header(self, name: bytes) -> str | None:
        """A header as text, None where it is absent or empty."""
        return self.headers.get(name, b"").decode("latin-1").strip() or None
