"""The fields of Snowplow's tracker protocol, as texts and values. Pure; `producers.formats.snowplow` makes events.

Every field is a text under a short name; self-describing events and entities are JSON in a text, plain or as base64.
"""

from __future__ import annotations

import binascii
import re
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from producers.http.body import RequestError
from producers.ingest.checks import Ingest
from producers.ingest.event import Event, Members
from producers.ingest.text import parse_inner
from producers.ingest.times import MAX_MS, NEGATIVE_AGE_MS
from producers.ingest.verdicts import RefusedError
from schemas.reasons import RejectReason

NAMES: Final = {"pv": "page_view", "pp": "page_ping", "tr": "order_completed", "ti": "order_item"}
PROPERTIES: Final = {
    "pp": {"pp_mix": "min_x", "pp_max": "max_x", "pp_miy": "min_y", "pp_may": "max_y"},
    "se": {"se_ca": "category", "se_la": "label", "se_pr": "property", "se_va": "value"},
    "tr": {
        "tr_id": "order_id",
        "tr_tt": "value",
        "tr_cu": "currency",
        "tr_af": "affiliation",
        "tr_tx": "tax",
        "tr_sh": "shipping",
        "tr_ci": "city",
        "tr_st": "state",
        "tr_co": "country",
    },
    "ti": {
        "ti_id": "order_id",
        "ti_sk": "sku",
        "ti_nm": "product",
        "ti_ca": "category",
        "ti_pr": "price",
        "ti_qu": "quantity",
        "ti_cu": "currency",
    },
}
"""Fields of each kind of event, and the properties they become."""
CONTEXT: Final = {
    "ip": (None, "ip"),
    "ua": (None, "userAgent"),
    "lang": (None, "locale"),
    "tz": (None, "timezone"),
    "p": (None, "platform"),
    "url": ("page", "url"),
    "page": ("page", "title"),
    "refr": ("page", "referrer"),
    "sid": ("session", "id"),
    "vid": ("session", "number"),
    "aid": ("app", "id"),
    "tna": ("app", "tracker"),
    "tv": ("library", "version"),
}
"""Fields of every event, and their places in the context."""
_TIME_CHARS: Final = 20
_WRITE_KEY: Final = re.compile(r"fc[bshr]_")


def fields_of(query: bytes) -> dict[str, str]:
    """Of an event in a query. Raises RequestError."""
    try:
        return dict(parse_qsl(query.decode("latin-1"), max_num_fields=200))
    except ValueError:
        raise RequestError(
            RejectReason.MALFORMED_JSON, "the query has too many fields", "an event has at most 200"
        ) from None


def set_times(event: Event, fields: Members) -> None:
    """`ttm` is true time and needs no correction. Some trackers cut `stm` to whole seconds: it is never taken for
    earlier than the event."""
    stated = fields.get("ttm")
    if stated is not None and stated != "":
        event.client_ms = milliseconds_of(stated)
        event.is_time_unreadable = event.client_ms is None
        return
    stated = fields.get("dtm")
    if stated is None or stated == "":
        return
    client_ms = milliseconds_of(stated)
    if client_ms is None:
        event.is_time_unreadable = True
        return
    event.client_ms = client_ms
    sent = fields.get("stm")
    sent_ms = client_ms if sent == stated else milliseconds_of(sent)
    if sent_ms is not None and NEGATIVE_AGE_MS <= sent_ms - client_ms < 0:
        sent_ms = client_ms
    event.sent_ms = sent_ms


def context_of(fields: Members) -> Members:
    """What the fields of every event say, in the order in which they were sent."""
    context: Members = {}
    for field in fields:
        if field not in CONTEXT or (value := fields[field]) is None or value == "":
            continue
        group, name = CONTEXT[field]
        if group is None:
            context[name] = value
        elif group in context:
            context[group][name] = value
        else:
            context[group] = {name: value}
    app_id = fields.get("aid")
    if type(app_id) is str and app_id[:2] == "fc" and _WRITE_KEY.match(app_id):  # a write key is no app id
        del context["app"]["id"]
    return context


def json_of(event: Event, ingest: Ingest, *, fields: Members, names: tuple[str, str]) -> Any:
    """The JSON of a field that is plain or in base64, of either alphabet, with or without padding; None where it is
    absent. What no parser takes is repaired, where it can be, and counted with the event. Raises RefusedError where it
    is no JSON."""
    plain, encoded = names
    packed = fields.get(encoded)
    if type(packed) is str and packed and not fields.get(plain):
        try:
            text = _unpacked(packed)
        except ValueError:
            raise RefusedError(RejectReason.MALFORMED_JSON, f"{encoded} is no base64") from None
    else:
        sent = text_of(fields.get(plain))
        if sent is None:
            return None
        text = sent.encode()
    value, repairs = parse_inner(text, ingest.limits)
    if repairs:
        event.repairs += repairs
    return value


def _unpacked(text: str) -> bytes:
    try:
        return msgspec.convert(text, bytes)  # half of what binascii takes for what trackers send
    except msgspec.ValidationError:
        pass
    if len(text) % 4:
        text = text.rstrip("=")
        text += "=" * (-len(text) % 4)
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:  # the other alphabet, or none
        return binascii.a2b_base64(text.replace("-", "+").replace("_", "/"), strict_mode=True)


def text_of(value: object) -> str | None:
    """A field as a text; some trackers send numbers as numbers."""
    if type(value) is str:
        return value or None
    return str(value) if type(value) is int else None


def milliseconds_of(value: object) -> int | None:
    """A time, as a number or a text of digits; None where it is neither."""
    if type(value) is str:
        try:
            value = int(value if len(value) <= _TIME_CHARS else value[:_TIME_CHARS])
        except ValueError:
            return None
    return value if type(value) is int and 0 <= value <= MAX_MS else None
