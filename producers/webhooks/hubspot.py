"""HubSpot. Its webhooks: a list of changes, each of one property of one object, with neither an amount nor an e-mail.
Its CRM API: the amount of a deal, its owner, why it was lost, and whose it is.

Pure; the API is asked through a port.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from producers.formats.port import Request
from producers.http.body import RequestError
from producers.ingest.event import Members
from producers.webhooks.crm import CrmClient, Details
from producers.webhooks.delivery import (
    ORDER_STAGES,
    WITHDRAWN,
    Delivery,
    Further,
    RawDelivery,
    WebhookEvent,
    compact,
    delivery_of,
    items,
    members,
    moment,
    parse_json,
    present,
    text,
)
from producers.webhooks.provider import Credentials, Provider
from producers.webhooks.signatures import Check, is_any_equal, is_number, sha256_base64, verdict
from schemas.reasons import RejectReason

_STAGES: Final[dict[str, str | None]] = {
    "contact.creation": "lead_created",
    "deal.creation": None,
    "deal.deletion": "order_withdrawn",
    "deal.amount": "order_restated",
    "appointmentscheduled": "consultation",
    "qualifiedtobuy": "lead_qualified",
    "presentationscheduled": "offer_sent",
    "decisionmakerboughtin": "negotiation",
    "contractsent": "offer_sent",
    "closedwon": "payment",
    "closedlost": "deal_lost",
    "lifecyclestage/subscriber": None,
    "lifecyclestage/lead": "lead_created",
    "lifecyclestage/marketingqualifiedlead": "lead_qualified",
    "lifecyclestage/salesqualifiedlead": "lead_qualified",
    "lifecyclestage/opportunity": None,
    "lifecyclestage/customer": None,
    "lifecyclestage/evangelist": None,
    "lifecyclestage/other": None,
    **ORDER_STAGES,
}
_DEAL: Final = {
    "properties": "amount,deal_currency_code,hubspot_owner_id,closed_lost_reason,pipeline,dealname",
    "propertiesWithHistory": "dealstage",
    "associations": "contacts",
}
_CONTACT: Final = {"properties": "email,phone"}
_DECODED: Final = re.compile(r"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
"""The escapes that HubSpot undoes in the address before it signs."""
_WON: Final = "closedwon"
_LOST: Final = "closedlost"
_NOT_WON: Final = frozenset(
    {
        "appointmentscheduled",
        "qualifiedtobuy",
        "presentationscheduled",
        "decisionmakerboughtin",
        "contractsent",
        _LOST,
    }
)
"""HubSpot's own stages in which a deal is not won. What stages of one's own mean, only the API knows."""
_AMOUNTS: Final = ("amount", "deal_currency_code")
_SKEW_MS: Final = 2_000
"""By so much the history of a deal may date a change later than its webhook."""
_OBJECTS: Final = {"0-1": "contact", "0-3": "deal"}


def read(raw: RawDelivery) -> Delivery:
    """One event for each change."""
    body = parse_json(raw.body)
    changes = items(body if isinstance(body, list) else [body])
    if not changes and body != []:
        raise RequestError(RejectReason.NOT_AN_OBJECT, "HubSpot sends a list of changes")
    reasons = {
        text(change.get("objectId")): text(change.get("propertyValue"))
        for change in changes
        if change.get("propertyName") == "closed_lost_reason"
    }
    events = [_event(change, raw, reasons=reasons) for change in changes]
    return delivery_of(events)


def _event(change: Members, raw: RawDelivery, *, reasons: dict[str | None, str | None]) -> WebhookEvent:
    kind, what = _type(change)
    account = text(change.get("portalId")) or raw.account
    number = text(change.get("objectId")) or "unknown"
    name, value = text(change.get("propertyName")), text(change.get("propertyValue"))
    event = WebhookEvent(
        id=_id(change),
        type=f"{kind}_{name or what}",
        element=compact(change),
        subject=f"hubspot:{account}:{kind}:{number}",
        occurred_ms=moment(change.get("occurredAt")),
    )
    if kind == "contact" and name == "email":
        event.email = value
    event.thing = event.subject if kind == "deal" else None
    _place(event, kind=kind, what=what, name=name, value=value)
    is_amount = event.keys == ("deal.amount",)
    if event.is_stage or is_amount or (kind in ("deal", "contact") and what in ("creation", "restore")):
        event.deal = number
    event.properties = present(
        {
            "value": value if is_amount and name == "amount" else None,
            "currency": value if is_amount and name != "amount" else None if not is_amount else raw.currency,
            "stage": value if event.is_stage else None,
            "deal_id": number if kind == "deal" else None,
            "order_id": f"hubspot:deal:{number}" if kind == "deal" else None,
            "manager": value if name == "hubspot_owner_id" else None,
            "reason": reasons.get(number) if value == _LOST else None,
            "property": name,
        }
    )
    return event


def _place(event: WebhookEvent, *, kind: str, what: str, name: str | None, value: str | None) -> None:
    """Its keys in the stage map. A change says where a deal went, never where it came from."""
    event.keys = (f"{kind}.{what}",) if name is None else ()
    if name in ("dealstage", "lifecyclestage"):
        event.is_stage = True
        event.keys = (value or "",) if name == "dealstage" else (f"lifecyclestage/{value}",)
        event.further = (Further((WITHDRAWN,)),) if name == "dealstage" and value in _NOT_WON else ()
    elif kind == "deal" and name in _AMOUNTS:
        event.keys = ("deal.amount",)
    elif kind == "deal" and name == "hs_is_closed_won" and value == "false":
        event.keys = (WITHDRAWN,)


def _type(change: Members) -> tuple[str, str]:
    """(contact, deal, ...; creation, propertyChange, ...) of both ways in which HubSpot says it."""
    kind, _, what = (text(change.get("subscriptionType")) or "object.change").partition(".")
    if kind == "object":
        kind = _OBJECTS.get(text(change.get("objectTypeId")) or "", "object")
    return kind, what


def _id(change: Members) -> str:
    """An eventId alone is not promised to be unique."""
    parts = [text(change.get(name)) for name in ("portalId", "eventId", "subscriptionId", "objectId", "occurredAt")]
    return "-".join(part or "" for part in parts) if any(parts) else ""


class HubSpot:
    """Stage and time stay the webhook's: they are what was true when it happened."""

    def __init__(self, http: CrmClient) -> None:
        self._http = http

    async def details(self, event: WebhookEvent) -> Details | None:
        """What the API adds."""
        if event.type.startswith("contact"):
            details = Details()
            is_there = await self._person(details, event, number=event.deal or "")
            return details if is_there else None
        deal = await self._http.get("/crm/v3/objects/deals/{}", event.deal, params=_DEAL)
        if deal is None:
            return None
        details, known = Details(), members(members(deal).get("properties"))
        contacts = items(members(members(members(deal).get("associations")).get("contacts")).get("results"))
        number = next((text(one.get("id")) for one in contacts), None)
        if number is not None:
            await self._person(details, event, number=number)
        await self._of_the_order(details, event, deal=members(deal))
        is_lost = _LOST in (
            event.properties.get("stage"),
            *(key for besides in details.further or () for key in besides.keys),
        )
        details.properties = await self._properties(event, known, is_lost=is_lost)
        return details

    async def _of_the_order(self, details: Details, event: WebhookEvent, *, deal: Members) -> None:
        """Whether the deal was won before this change of its stage; a deal that is restored may be won again, and one
        that is created may be closed already."""
        pipeline = text(members(deal.get("properties")).get("pipeline"))
        moves = items(members(deal.get("propertiesWithHistory")).get("dealstage"))  # the newest first
        moves = [one for one in moves if _is_by(one, event.occurred_ms)]
        stages, stage = [text(one.get("value")) or "" for one in moves], event.properties.get("stage")
        if event.type == "deal_restore" and stages and await self._is_won(pipeline, stages[0]):
            details.keys = (stages[0], _WON)
        if event.type == "deal_creation" and stages:
            keys = (stages[0], _WON) if await self._is_won(pipeline, stages[0]) else stages[:1]
            details.further = (Further(tuple(keys)),) if keys[-1] in (_WON, _LOST) else ()
        if stage in stages:
            before = stages[stages.index(stage) + 1 :][:1]
            was_won = bool(before) and await self._is_won(pipeline, before[0])
            is_won = await self._is_won(pipeline, stage)
            details.further = (Further((WITHDRAWN,)),) if was_won and not is_won else ()

    async def _is_won(self, pipeline: str | None, stage: str) -> bool:
        """A closed stage of probability 1."""
        if stage == _WON or stage in _NOT_WON:
            return stage == _WON
        known = members(await self._http.remembered("/crm/v3/pipelines/deals/{}", pipeline))
        places = (members(one.get("metadata")) for one in items(known.get("stages")) if text(one.get("id")) == stage)
        return any(text(place.get("probability")) in ("1", "1.0") for place in places)

    async def _properties(self, event: WebhookEvent, known: Members, *, is_lost: bool) -> Members:
        value = text(event.properties.get("value"), known.get("amount"))  # a change of the amount says it itself
        return present(
            {
                "value": value,
                "currency": text(known.get("deal_currency_code")) if value is not None else None,
                "manager": await self._manager(text(known.get("hubspot_owner_id"))),
                "reason": text(known.get("closed_lost_reason")) if is_lost else None,
                "pipeline": text(known.get("pipeline")),
            }
        )

    async def _person(self, details: Details, event: WebhookEvent, *, number: str) -> bool:
        """The contact's e-mail and phone; False where there is no such contact."""
        details.subject = f"{event.subject.rsplit(':', 2)[0]}:contact:{number}"
        answer = await self._http.remembered("/crm/v3/objects/contacts/{}", number, params=_CONTACT)
        known = members(members(answer).get("properties"))
        details.email, details.phone = text(known.get("email")), text(known.get("phone"))
        return answer is not None

    async def _manager(self, number: str | None) -> str | None:
        if number is None:
            return None
        owner = members(await self._http.remembered("/crm/v3/owners/{}", number))
        names = [text(owner.get(part)) for part in ("firstName", "lastName")]
        return " ".join(part for part in names if part) or text(owner.get("email")) or number


def _is_by(move: Members, at_ms: int | None) -> bool:
    """Whether a deal had come to this stage by then."""
    moved = moment(move.get("timestamp"))
    return at_ms is None or moved is None or moved <= at_ms + _SKEW_MS


def check(request: Request, credentials: Credentials) -> Check:
    """v3: `X-HubSpot-Signature-v3` (base64) over method, address, body and `X-HubSpot-Request-Timestamp` (ms)."""
    signature = request.headers.get(b"x-hubspot-signature-v3")
    time = request.headers.get(b"x-hubspot-request-timestamp")
    if signature is None and credentials.takes_legacy:
        return _check_legacy(request, credentials)
    if not signature or not time or not is_number(time):
        return Check.FORGED
    expected = [
        sha256_base64(secret, request.method.encode() + address + request.raw_body + time)
        for secret in credentials.secrets
        for address in _addresses(credentials.public_url)
    ]
    return verdict(is_any_equal(expected, [signature]), int(time), now_ms=request.received_at_ms)


def _check_legacy(request: Request, credentials: Credentials) -> Check:
    """v1 (secret and body) and v2 (secret, method, address, body): a bare SHA-256 in hex, without a time."""
    signature, body = request.headers.get(b"x-hubspot-signature"), request.raw_body
    if not signature:
        return Check.FORGED
    before = [b""]
    if request.headers.get(b"x-hubspot-signature-version") == b"v2":
        before = [request.method.encode() + address for address in _addresses(credentials.public_url)]
    signed = [secret + prefix + body for secret in credentials.secrets for prefix in before]
    return verdict(is_any_equal([hashlib.sha256(text).hexdigest().encode() for text in signed], [signature]))


def _addresses(url: str) -> list[bytes]:
    """The address as it was registered and as HubSpot signs it."""
    decoded = _DECODED.sub(lambda match: chr(int(match[1], 16)), url)
    return [url.encode()] if decoded == url else [url.encode(), decoded.encode()]


HUBSPOT: Final = Provider(
    name="hubspot", read=read, check=check, stages=_STAGES, needs_public_url=True, api=HubSpot, rate=10.0
)
