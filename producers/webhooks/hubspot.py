"""HubSpot's webhooks: a list of changes, each of one property of one object. Pure.

They name deals and contacts by number and carry neither an amount nor an e-mail: the enricher has those, where the hook
has access to the API.
"""

from __future__ import annotations

from typing import Final

from producers.http.body import RequestError
from producers.webhooks.told import (
    Arrived,
    Delivery,
    Members,
    Told,
    compact,
    delivery_of,
    items,
    moment,
    parse_json,
    present,
    text,
)
from schemas.reasons import RejectReason

STAGES: Final[dict[str, str | None]] = {
    "contact.creation": "lead_created",
    "deal.creation": None,
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
}
_OBJECTS: Final = {"0-1": "contact", "0-3": "deal"}


def read(arrived: Arrived) -> Delivery:
    """One event for each change."""
    found = parse_json(arrived.body)
    changes = items(found if isinstance(found, list) else [found])
    if not changes and found != []:
        raise RequestError(RejectReason.NOT_AN_OBJECT, "HubSpot sends a list of changes")
    reasons = {
        text(one.get("objectId")): text(one.get("propertyValue"))
        for one in changes
        if one.get("propertyName") == "closed_lost_reason"
    }
    told = [_told(one, arrived, reasons) for one in changes]
    return delivery_of(told)


def _told(change: Members, arrived: Arrived, reasons: dict[str | None, str | None]) -> Told:
    kind, what = _type(change)
    account = text(change.get("portalId")) or arrived.account
    number = text(change.get("objectId")) or "unknown"
    name, value = text(change.get("propertyName")), text(change.get("propertyValue"))
    told = Told(
        id=_id(change),
        type=f"{kind}_{name or what}",
        element=compact(change),
        subject=f"hubspot:{account}:{kind}:{number}",
        occurred_ms=moment(change.get("occurredAt")),
    )
    if kind == "contact" and name == "email":
        told.email = value
    told.keys = (f"{kind}.{what}",)
    if name is not None:
        told.keys = ()
        if name in ("dealstage", "lifecyclestage"):
            told.is_stage = True
            told.keys = (value or "",) if name == "dealstage" else (f"lifecyclestage/{value}",)
    if told.is_stage or (kind in ("deal", "contact") and what == "creation"):
        told.deal = number
    told.properties = present(
        {
            "stage": value if told.is_stage else None,
            "deal_id": number if kind == "deal" else None,
            "order_id": f"hubspot:deal:{number}" if kind == "deal" else None,
            "manager": value if name == "hubspot_owner_id" else None,
            "reason": reasons.get(number) if value == "closedlost" else None,
            "property": name,
        }
    )
    return told


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
