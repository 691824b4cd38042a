"""Any sender that signs as Standard Webhooks says: `{"type", "timestamp", "data"}`, or a native event. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from producers.formats.port import Request
from producers.ingest.event import Members
from producers.webhooks.delivery import (
    Delivery,
    RawDelivery,
    WebhookEvent,
    members,
    moment,
    parse_object,
    text,
)
from producers.webhooks.provider import Credentials, Provider
from producers.webhooks.signatures import (
    MAX_SIGNATURES,
    Check,
    is_any_equal,
    is_number,
    sha256_base64,
    verdict,
)

_HEADERS: Final = (b"webhook-id",)
_SECONDS_BELOW: Final = 10**12
"""A number below this (2001 in milliseconds) is seconds."""
_SIGNED: Final = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
_Marks = Mapping[str, tuple[bool | str, ...]]
_NEVER_REAL: Final[_Marks] = {
    **dict.fromkeys(("livemode", "live_mode"), (False,)),
    **dict.fromkeys(("is_test", "test_mode", "testmode", "sandbox", "is_sandbox"), (True,)),
}
"""Members and values by which services mark what is not real, wherever they stand."""
_NOT_REAL: Final[_Marks] = {
    **_NEVER_REAL,
    "test": (True,),
    **dict.fromkeys(("mode", "environment"), ("test", "sandbox")),
}
"""Those beside the type and in `meta`: in `data` some of these words are fields of the sender's own business."""
_IDS: Final = ("user_id", "anonymous_id", "contact_id", "email", "phone")


def read(raw: RawDelivery) -> Delivery:
    """One event for each delivery. Its name is the `type`, as it stands or as the stage map says."""
    body = parse_object(raw.body)
    data = members(body.get("data")) or members(body.get("properties"))
    delivery = raw.header(b"webhook-id")
    kind = text(body.get("type"), body.get("name")) or ""
    time = body.get("timestamp", body.get("occurred_at_ms", body.get("occurred_at")))
    ids = {name: text(body.get(name), data.get(name)) for name in _IDS}
    occurred_ms = _time(time)
    event = WebhookEvent(
        id=text(body.get("id"), delivery) or "",
        type=kind,
        element=raw.body,
        subject=ids["contact_id"] or f"webhook:{raw.account}:{text(data.get('id'), delivery) or 'unknown'}",
        keys=(kind,),
        occurred_ms=occurred_ms,
        is_time_unreadable=time is not None and occurred_ms is None,
        test_mark=_test_mark(body),
        user_id=ids["user_id"],
        anonymous_id=ids["anonymous_id"],
        email=ids["email"],
        phone=ids["phone"],
        properties=_without_ids(data),
    )
    return Delivery([event], delivery)


def _without_ids(data: Members) -> Members:
    return {name: value for name, value in data.items() if name not in _IDS}


def _test_mark(body: Members) -> str | None:
    """As most services say it, beside the type or in `data` or `meta`."""
    places = ((body, _NOT_REAL), (members(body.get("data")), _NEVER_REAL), (members(body.get("meta")), _NOT_REAL))
    for said, known in places:
        for name, marks in known.items():
            value = said.get(name)
            if value is not None and value in marks and value.__class__ in (bool, str):
                return f"{name} is {str(value).lower()}"
    return None


def _time(value: object) -> int | None:
    """RFC 3339, or a number of seconds or milliseconds."""
    milliseconds = moment(value)
    is_seconds = milliseconds is not None and milliseconds < _SECONDS_BELOW and not isinstance(value, str)
    return moment(value, unit_ms=1000) if is_seconds else milliseconds


def check(request: Request, credentials: Credentials) -> Check:
    """Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64>[ v1,<base64>]` over
    `id.timestamp.body`. Secrets are the bytes behind `whsec_` (`standard_secret`)."""
    identity, time, signatures = (request.headers.get(name) for name in _SIGNED)
    if not identity or not time or not signatures or not is_number(time):
        return Check.FORGED
    signed = identity + b"." + time + b"." + request.raw_body
    sent = [part.partition(b",")[2] for part in signatures.split() if part.startswith(b"v1,")][:MAX_SIGNATURES]
    expected = [sha256_base64(secret, signed) for secret in credentials.secrets]
    return verdict(is_any_equal(expected, sent), int(time) * 1000, now_ms=request.received_at_ms)


def standard_secret(text: str) -> bytes:
    """The key behind `whsec_<base64>`. Raises ValueError."""
    encoded = text.removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError("must be whsec_ and base64, as Standard Webhooks has it")
    return key


GENERIC: Final = Provider(
    name="generic",
    read=read,
    check=check,
    stages={},
    headers=_HEADERS,
    key_of=standard_secret,
    keeps_names=True,
)
