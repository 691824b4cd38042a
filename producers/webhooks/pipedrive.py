"""Pipedrive's webhooks, v2 (`meta`, `data`, `previous`) and v1 (`meta`, `current`, `previous`). Pure."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from producers.ingest.event import Members
from producers.webhooks.delivery import (
    ORDER_STAGES,
    RESTATED,
    WITHDRAWN,
    Delivery,
    Further,
    RawDelivery,
    WebhookEvent,
    integer,
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
    "deal.delete": None,
    **ORDER_STAGES,
}
_CLOSED: Final = ("won", "lost")
_ACTIONS: Final = {"added": "create", "updated": "change", "deleted": "delete"}


def read(raw: RawDelivery) -> Delivery:
    """One event for each delivery; of a deal that is created as won or lost a second one, which says so. What is
    deleted is as it was before: `previous` has it."""
    body = parse_object(raw.body)
    meta, previous = members(body.get("meta")), members(body.get("previous"))
    data = members(body.get("data")) or members(body.get("current")) or previous
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
        subject=_subject(account, kind=kind, number=number, data=data),
        occurred_ms=_time(meta, data),
    )
    _contact(event, data)
    event.properties = _properties(data, kind=kind, number=number)
    if kind == "deal":
        event.thing = f"pipedrive:{account}:deal:{number}"
        event.further = _of_the_order(action, data=data, previous=previous)
    _place(event, data=data, previous=previous, what=f"{kind}.{action}")
    return Delivery([event, *_closed_at_once(event, data)], name)


def _time(meta: Members, data: Members) -> int | None:
    """When Pipedrive changed it. Never `won_time`, `lost_time` or `add_time`: people and imports set them to any
    day."""
    micros = integer(meta.get("timestamp_micro"))
    return (
        moment(meta.get("timestamp"), unit_ms=1000)
        or (moment(micros // 1000) if micros else None)
        or moment(data.get("update_time"))
    )


def _of_the_order(action: str, *, data: Members, previous: Members) -> tuple[Further, ...]:
    """Whether a deal that was won is so no longer, or is worth another amount. `previous` holds what changed (v2) or
    everything (v1); of what is deleted all there is (v2 may say nothing: then it may have been won)."""
    status = text(data.get("status"))
    before = text(previous.get("status"), status)
    if action == "delete":
        return (Further((WITHDRAWN,)),) if before in (None, "won", "deleted") else ()
    if action != "change" or before != "won":
        return ()
    if status != "won":
        return (Further((WITHDRAWN,)),)
    now = {name: text(data.get(name)) for name in ("value", "currency")}
    is_revalued = any(text(previous.get(name), value) != value for name, value in now.items())
    return (Further((RESTATED,)),) if is_revalued else ()


def _closed_at_once(event: WebhookEvent, data: Members) -> list[WebhookEvent]:
    """What a deal that is created as won or lost says besides: no change of its status will follow."""
    status = text(data.get("status")) or ""
    if event.type != "deal_create" or status not in _CLOSED:
        return []
    return [replace(event, id=f"{event.id}:{status}", type=f"deal_{status}", keys=(status,), further=())]


def _subject(account: str, *, kind: str, number: str, data: Members) -> str:
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


def _properties(data: Members, *, kind: str, number: str) -> Members:
    value = text(data.get("value"))
    return present(
        {
            "value": value,
            "currency": text(data.get("currency")) if value is not None else None,
            "manager": text(data.get("owner_name"), _id(data.get("owner_id")), _id(data.get("user_id"))),
            "pipeline": text(data.get("pipeline_id")),
            "stage": text(data.get("stage_id")),
            "reason": text(data.get("lost_reason")),
            "deal_id": number if kind == "deal" else _id(data.get("deal_id")),
            "order_id": f"pipedrive:deal:{number}" if kind == "deal" else None,
            "product": text(data.get("product_name")),
            "channel": text(data.get("channel")),
        }
    )


def _place(event: WebhookEvent, *, data: Members, previous: Members, what: str) -> None:
    """Its keys in the stage map: a deal that is closed is no longer at a stage. `previous` holds what changed (v2) or
    everything (v1)."""
    status, stage = text(data.get("status")), text(data.get("stage_id"))
    event.keys = (what,)
    if what == "deal.change" and status in _CLOSED and text(previous.get("status"), status) != status:
        event.keys = (status,)
    elif what == "deal.change" and text(previous.get("stage_id"), stage) != stage:
        event.keys, event.is_stage = (f"{text(data.get('pipeline_id'))}/{stage}", stage or ""), True


PIPEDRIVE: Final = Provider(name="pipedrive", read=read, check=check_address, stages=_STAGES, secret_in_path=True)
