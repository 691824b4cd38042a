"""Pipedrive's webhooks, v2 (`meta`, `data`, `previous`) and v1 (`meta`, `current`, `previous`). Pure."""

from __future__ import annotations

from typing import Final

from producers.webhooks.told import Arrived, Delivery, Members, Told, members, moment, parse_object, present, text

STAGES: Final[dict[str, str | None]] = {
    "lead.create": "lead_created",
    "deal.create": "lead_created",
    "won": "payment",
    "lost": "deal_lost",
}
_ACTIONS: Final = {"added": "create", "updated": "change", "deleted": "delete"}


def read(arrived: Arrived) -> Delivery:
    """One event for each delivery."""
    body = parse_object(arrived.body)
    meta, previous = members(body.get("meta")), members(body.get("previous"))
    data = members(body.get("data")) or members(body.get("current"))
    kind = text(meta.get("entity"), meta.get("object")) or "object"
    action = text(meta.get("action")) or "change"
    action = _ACTIONS.get(action, action)
    account = text(meta.get("company_id")) or arrived.account
    number = text(data.get("id"), meta.get("entity_id"), meta.get("id")) or "unknown"
    name = text(meta.get("id")) if "entity" in meta else None
    if name is None:  # v1 has no name for a delivery
        name = "-".join((kind, action, number, text(meta.get("timestamp_micro"), meta.get("timestamp")) or ""))
    told = Told(
        id=name,
        type=f"{kind}_{action}",
        element=arrived.body,
        subject=_subject(account, kind, number, data),
        occurred_ms=moment(meta.get("timestamp"), unit_ms=1000) if meta.get("timestamp") else None,
    )
    _contact(told, data)
    told.properties = _properties(data, kind, number)
    _place(told, data, previous, f"{kind}.{action}")
    return Delivery([told], name)


def _subject(account: str, kind: str, number: str, data: Members) -> str:
    person = number if kind == "person" else _id(data.get("person_id"))
    return f"pipedrive:{account}:person:{person}" if person else f"pipedrive:{account}:{kind}:{number}"


def _id(value: object) -> str | None:
    """v1 gives people as objects now and then."""
    return text(members(value).get("value"), members(value).get("id"), value)


def _contact(told: Told, data: Members) -> None:
    for member, plural in (("email", "emails"), ("phone", "phones")):
        found = data.get(plural) or data.get(member)
        first = found[0] if isinstance(found, list) and found else found
        setattr(told, member, text(members(first).get("value"), first))


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


def _place(told: Told, data: Members, previous: Members, what: str) -> None:
    """Its keys in the stage map: a deal that is closed is no longer at a stage."""
    status, stage = text(data.get("status")), text(data.get("stage_id"))
    told.keys = (what,)
    if what == "deal.change" and "status" in previous and status in ("won", "lost"):
        told.keys = (status,)
        closed = moment(data.get(f"{status}_time"))
        told.occurred_ms = told.occurred_ms if closed is None else closed
    elif what == "deal.change" and "stage_id" in previous:
        told.keys, told.is_stage = (f"{text(data.get('pipeline_id'))}/{stage}", stage or ""), True
