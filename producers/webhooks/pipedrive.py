"""Pipedrive's webhooks, v2 (`meta`, `data`, `previous`) and v1 (`meta`, `current`, `previous`). Pure."""

from __future__ import annotations

from typing import Final

from producers.ingest.event import Members
from producers.webhooks.delivery import (
    Delivery,
    RawDelivery,
    WebhookEvent,
    members,
    moment,
    parse_object,
    present,
    text,
)
from producers.webhooks.provider import Provider, check_address

_STAGES: Final[dict[str, str | None]] = {
    "lead.create": "lead_created",
    "deal.create": "lead_created",
    "won": "payment",
    "lost": "deal_lost",
}
_ACTIONS: Final = {"added": "create", "updated": "change", "deleted": "delete"}


def read(raw: RawDelivery) -> Delivery:
    """One event for each delivery."""
    body = parse_object(raw.body)
    meta, previous = members(body.get("meta")), members(body.get("previous"))
    data = members(body.get("data")) or members(body.get("current"))
    kind = text(meta.get("entity"), meta.get("object")) or "object"
    action = text(meta.get("action")) or "change"
    action = _ACTIONS.get(action, action)
    account = text(meta.get("company_id")) or raw.account
    number = text(data.get("id"), meta.get("entity_id"), meta.get("id")) or "unknown"
    name = text(meta.get("id")) if "entity" in meta else None
    if name is None:  # v1 has no name for a delivery
        name = "-".join((kind, action, number, text(meta.get("timestamp_micro"), meta.get("timestamp")) or ""))
    event = WebhookEvent(
        id=name,
        type=f"{kind}_{action}",
        element=raw.body,
        subject=_subject(account, kind, number, data),
        occurred_ms=moment(meta.get("timestamp"), unit_ms=1000) if meta.get("timestamp") else None,
    )
    _contact(event, data)
    event.properties = _properties(data, kind, number)
    _place(event, data, previous, f"{kind}.{action}")
    return Delivery([event], name)


def _subject(account: str, kind: str, number: str, data: Members) -> str:
    person = number if kind == "person" else _id(data.get("person_id"))
    return f"pipedrive:{account}:person:{person}" if person else f"pipedrive:{account}:{kind}:{number}"


def _id(value: object) -> str | None:
    """v1 sometimes gives people as objects."""
    return text(members(value).get("value"), members(value).get("id"), value)


def _contact(event: WebhookEvent, data: Members) -> None:
    for member, plural in (("email", "emails"), ("phone", "phones")):
        contacts = data.get(plural) or data.get(member)
        first = contacts[0] if isinstance(contacts, list) and contacts else contacts
        setattr(event, member, text(members(first).get("value"), first))


def _properties(data: Members, kind: str, number: str) -> Members:
    value = text(data.get("value"))
    return present(
        {
            "value": value,
            "currency": text(data.get("currency")) if value is not None else None,
            "manager": text(data.get("owner_name"), _id(data.get("owner_id")), _id(data.get("user_id"))),
            "pipeline": text(data.get("pipeline_id")),
            "stage": text(data.get("stage_id")),
            "reason": text(data.get("lost_reason")),
            "deal_id": number if kind == "deal" else None,
            "order_id": f"pipedrive:deal:{number}" if kind == "deal" else None,
            "product": text(data.get("product_name")),
            "channel": text(data.get("channel")),
        }
    )


def _place(event: WebhookEvent, data: Members, previous: Members, what: str) -> None:
    """Its keys in the stage map: a deal that is closed is no longer at a stage."""
    status, stage = text(data.get("status")), text(data.get("stage_id"))
    event.keys = (what,)
    if what == "deal.change" and "status" in previous and status in ("won", "lost"):
        event.keys = (status,)
        closed = moment(data.get(f"{status}_time"))
        event.occurred_ms = event.occurred_ms if closed is None else closed
    elif what == "deal.change" and "stage_id" in previous:
        event.keys, event.is_stage = (f"{text(data.get('pipeline_id'))}/{stage}", stage or ""), True


PIPEDRIVE: Final = Provider(name="pipedrive", read=read, check=check_address, stages=_STAGES, secret_in_path=True)
