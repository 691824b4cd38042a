"""Any sender that signs as Standard Webhooks says: `{"type", "timestamp", "data"}`, or a native event. Pure."""

from __future__ import annotations

from typing import Final

from producers.webhooks.told import Arrived, Delivery, Members, Told, members, moment, parse_object, text

STAGES: Final[dict[str, str | None]] = {}
HEADERS: Final = (b"webhook-id",)
_IDS: Final = ("user_id", "anonymous_id", "contact_id", "email", "phone")


def read(arrived: Arrived) -> Delivery:
    """One event for each delivery. Its name is the `type`, as it stands or as the stage map says."""
    body = parse_object(arrived.body)
    data = members(body.get("data")) or members(body.get("properties"))
    delivery = arrived.header(b"webhook-id")
    kind = text(body.get("type"), body.get("name")) or ""
    time = body.get("timestamp", body.get("occurred_at_ms", body.get("occurred_at")))
    ids = {name: text(body.get(name), data.get(name)) for name in _IDS}
    occurred_ms = _time(time)
    told = Told(
        id=text(body.get("id"), delivery) or "",
        type=kind,
        element=arrived.body,
        subject=ids["contact_id"] or f"webhook:{arrived.account}:{text(data.get('id'), delivery) or 'unknown'}",
        keys=(kind,),
        occurred_ms=occurred_ms,
        is_time_unreadable=time is not None and occurred_ms is None,
        user_id=ids["user_id"],
        anonymous_id=ids["anonymous_id"],
        email=ids["email"],
        phone=ids["phone"],
        properties=_without_ids(data),
    )
    return Delivery([told], delivery)


def _without_ids(data: Members) -> Members:
    return {name: value for name, value in data.items() if name not in _IDS}


def _time(value: object) -> int | None:
    """RFC 3339, or seconds or milliseconds: what lies before 2001 in milliseconds is seconds."""
    found = moment(value)
    return moment(value, unit_ms=1000) if found is not None and found < 10**12 and not isinstance(value, str) else found
