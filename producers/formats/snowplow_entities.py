"""Snowplow's self-describing JSON: the event in its envelope, and the entities that accompany an event. Pure.

A schema is named `iglu:vendor/name/format/version`; the name is what an event is called.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from producers.formats.translating import dict_of
from producers.ingest.event import Members
from producers.ingest.verdicts import RefusedError
from schemas.reasons import RejectReason

_SCHEMA_CHARS: Final = 512
_CONTACTS: Final = frozenset({"email", "phone"})
_COMMERCE: Final = "snowplow_ecommerce_action"
_PURCHASE: Final = "order_completed"
_FORMS: Final = frozenset({"submit_form", "change_form", "focus_form"})
_FIELDS: Final = {"email": "email", "e-mail": "email", "tel": "phone", "phone": "phone", "telephone": "phone"}
"""Types and names of a form's fields that hold a contact."""
_ORDER: Final = {
    "transaction": {"transaction_id": "order_id", "revenue": "value", "currency": "currency"},
    "refund": {
        "transaction_id": "order_id",
        "refund_amount": "value",
        "currency": "currency",
        "refund_reason": "reason",
    },
}
"""Entities of Snowplow's e-commerce plug-in, and the properties they become."""


@dataclass(slots=True)
class Entities:
    """What accompanies an event, contacts taken out."""

    all: Any = None
    """As they were sent: a list of `{"schema", "data"}`, or whatever else stood in their place."""
    order: Members = field(default_factory=dict)
    contacts: Members = field(default_factory=dict)
    device_id: str | None = None
    """Which device, as the trackers of mobile apps say it."""


def event_of(envelope: Any) -> tuple[str, Members]:
    """(name, properties) of a self-describing event. Raises RefusedError."""
    inner = envelope.get("data") if type(envelope) is dict else None
    name = name_of(inner.get("schema")) if type(inner) is dict else None
    if inner is None or name is None:
        raise RefusedError(RejectReason.MISSING_NAME, "the self-describing event names no schema iglu:vendor/name/...")
    properties = inner.get("data")
    if properties is None:
        return name, {}
    if type(properties) is not dict:
        raise RefusedError(RejectReason.WRONG_TYPE, "the data of a self-describing event must be an object")
    if name == _COMMERCE:
        kind = properties.get("type")
        if isinstance(kind, str) and kind:
            name = _PURCHASE if kind == "transaction" else kind
    elif name in _FORMS:
        _take_fields(properties)
    return name, properties


def _take_fields(properties: Members) -> None:
    """Make `email` and `phone` of what was typed into a form; it does not stay among the form's elements."""
    elements = properties.get("elements")
    for element in elements if isinstance(elements, list) else [properties]:
        field = dict_of(element)
        contact = _FIELDS.get(str(field.get("type")).lower()) or _FIELDS.get(str(field.get("name")).lower())
        if contact is None and element is properties:
            contact = _FIELDS.get(str(field.get("elementId")).lower())
        if contact is not None and isinstance(field.get("value"), str):
            properties.setdefault(contact, field.pop("value"))


def entities_of(envelope: Any) -> Entities:
    """The entities of an event. Never raises: whatever they are, the event counts."""
    listed = envelope.get("data") if isinstance(envelope, dict) else envelope
    entities = Entities(all=listed)
    if not isinstance(listed, list):
        return entities
    for entity in listed:
        members = dict_of(entity)
        name, about = name_of(members.get("schema")), dict_of(members.get("data"))
        if name in _ORDER:
            names = _ORDER[name]
            entities.order.update((names[member], value) for member, value in about.items() if member in names)
        elif name == "client_session" and isinstance(about.get("userId"), str):
            entities.device_id = about["userId"]
        for member in [member for member in about if member.lower() in _CONTACTS]:
            entities.contacts.setdefault(member.lower(), about.pop(member))
    return entities


def name_of(schema: object) -> str | None:
    """The name out of `iglu:vendor/name/format/version`."""
    return _named(schema) if isinstance(schema, str) and len(schema) <= _SCHEMA_CHARS else None


@lru_cache(maxsize=4096)  # a site has a handful
def _named(schema: str) -> str | None:
    parts = schema.removeprefix("iglu:").split("/")
    return parts[1] if len(parts) > 1 and parts[1] else None
