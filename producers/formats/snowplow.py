"""Snowplow's tracker protocol: `POST /com.snowplowanalytics.snowplow/tp2` and `GET /i`. Pure; docs/clients.md shows
the mapping.

Every field is a text under a short name; self-describing events and entities are JSON in a text, plain or as base64.
Nothing sets a cookie: a visitor is known by the ids that the tracker sends.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import orjson

from producers.access.keys import KeyRing
from producers.formats.port import BaseEndpoint, Format, Reading, Request, RoutePath
from producers.formats.snowplow_entities import Entities, entities_of, event_of
from producers.formats.translating import random_id, read_each, take_order
from producers.http.body import RequestError, malformed, split_array
from producers.http.messages import ANY_SITE, Answer, key_of
from producers.ingest.checks import Ingest
from producers.ingest.event import Event, Members
from producers.ingest.text import parse_inner
from producers.ingest.times import MAX_MS, NEGATIVE_AGE_MS
from producers.ingest.verdicts import RefusedError, Sender
from schemas.reasons import RejectReason

GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""One transparent pixel."""
_PIXEL: Final = Answer(200, GIF, ((b"content-type", b"image/gif"), (b"cache-control", b"no-store"), ANY_SITE))
_LABEL: Final = "/com.snowplowanalytics.snowplow/tp2"
_APP_ID: Final = re.compile(rb'"aid"\s*:\s*"([^"\\]{1,128})"')
_NAMES: Final = {"pv": "page_view", "pp": "page_ping", "tr": "order_completed", "ti": "order_item"}
_PROPERTIES: Final = {
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
_CONTEXT: Final = {
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


class _Payload(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


_payload: Final = msgspec.json.Decoder(_Payload)


class Snowplow(BaseEndpoint):
    """A batch of events as trackers post it. A tracker knows no key: its `aid` may be registered for one."""

    paths: Sequence[RoutePath] = (
        RoutePath("POST", _LABEL),
        RoutePath("POST", "/com.*", _LABEL),  # a `postPath` of one's own has such a vendor in front, too
    )
    id_member = "eid"

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    def sender_of(self, request: Request, keys: KeyRing) -> Sender | None:
        """By a write key in the usual places, else by the app id: registered, or itself a write key."""
        key = key_of(request.headers, request.query, b"")
        if key:
            return keys.sender_of(key)
        app_id = self._app_id(request)
        sender = keys.sender_of_app(app_id)
        return sender if sender is not None or app_id is None else keys.sender_of(app_id)

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each event."""
        return self._read(self._elements(request), request, sender=sender)

    def _app_id(self, request: Request) -> str | None:
        """Of the first event: a request is one sender's."""
        match = _APP_ID.search(request.body)
        return None if match is None else match[1].decode("utf-8", "replace")

    def _elements(self, request: Request) -> list[bytes]:
        """Of the envelope, or one event alone."""
        body = request.body.strip()
        try:
            events = bytes(_payload.decode(body).data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise malformed(body) from None
        return [body] if events == b"null" else split_array(events, self._ingest.limits.events)

    def _read(self, elements: list[bytes], request: Request, *, sender: Sender) -> Reading:
        is_anonymous = b"sp-anonymous" in request.headers

        def translate(fields: Members, raw: bytes, number: int) -> Event:  # noqa: ARG001 - as every format
            return _translated(self._ingest, fields, is_anonymous=is_anonymous)

        return read_each(self._ingest, elements, request=request, sender=sender, translate=translate, id_member="eid")


class SnowplowPixel(Snowplow):
    """`GET /i`: one event in the query, answered with a pixel. A link for pages without scripts names no event, so it
    gets an id: every showing of it is one."""

    paths = (RoutePath("GET", "/i", _LABEL),)

    def answer(self, reading: Reading) -> Answer:
        """A pixel, because the tracker may have asked for an image."""
        return _PIXEL

    def _app_id(self, request: Request) -> str | None:
        return _fields(request.query).get("aid")

    def _elements(self, request: Request) -> list[bytes]:
        return [orjson.dumps({"eid": random_id("sp"), **_fields(request.query)})]


def _fields(query: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(query.decode("latin-1"), max_num_fields=200))
    except ValueError:
        raise RequestError(
            RejectReason.MALFORMED_JSON, "the query has too many fields", "an event has at most 200"
        ) from None


def _translated(ingest: Ingest, fields: Members, *, is_anonymous: bool) -> Event:
    if is_anonymous:
        for name in ("ip", "nuid", "tnuid"):
            fields.pop(name, None)
    event = Event(id=_text(fields.get("eid")), context=_context_of(fields))
    if "uid" in fields:
        event.user_id = _text(fields["uid"])
    _name(event, ingest, fields=fields)
    device_id = _add_entities(event, ingest, fields=fields) if "co" in fields or "cx" in fields else None
    event.anonymous_id = _text(fields.get("duid")) or _other_id(fields, device_id)
    take_order(event.properties)
    _set_times(event, fields)
    return event


def _other_id(fields: Members, device_id: str | None) -> str | None:
    """The id of a visitor without an id of the tracker: of the network, of the device, else of the session."""
    return _text(fields.get("nuid")) or _text(fields.get("tnuid")) or device_id or _text(fields.get("sid"))


def _name(event: Event, ingest: Ingest, *, fields: Members) -> None:
    """Name and properties, by the kind of event."""
    kind = fields.get("e")
    if kind == "ue":
        event.name, event.properties = event_of(_json(event, ingest, fields=fields, names=("ue_pr", "ue_px")))
        return
    if kind != "se" and kind not in ("pv", "pp", "tr", "ti"):
        raise RefusedError(RejectReason.UNSUPPORTED_TYPE, f"e {str(kind)[:32]!r} is none of pv pp se ue tr ti")
    event.name = _text(fields.get("se_ac")) if kind == "se" else _NAMES[kind]
    for field, name in _PROPERTIES.get(kind, {}).items():
        value = fields.get(field)
        if value is not None and value != "":
            event.properties[name] = value


def _add_entities(event: Event, ingest: Ingest, *, fields: Members) -> str | None:
    """Add what accompanies the event; the id of the device, where it is stated."""
    try:
        entities = entities_of(_json(event, ingest, fields=fields, names=("co", "cx")))
    except RefusedError:  # the event can do without
        entities = Entities(all=fields.get("co") or fields.get("cx"))
    for name, value in entities.order.items():
        event.properties.setdefault(name, value)
    if entities.all:
        event.context["contexts"] = entities.all
    if entities.contacts:
        event.context["traits"] = entities.contacts
    return entities.device_id


def _set_times(event: Event, fields: Members) -> None:
    """`ttm` is true time and needs no correction. Some trackers cut `stm` to whole seconds: it is never taken for
    earlier than the event."""
    stated = fields.get("ttm")
    if stated is not None and stated != "":
        event.client_ms = _milliseconds(stated)
        event.is_time_unreadable = event.client_ms is None
        return
    stated = fields.get("dtm")
    if stated is None or stated == "":
        return
    client_ms = _milliseconds(stated)
    if client_ms is None:
        event.is_time_unreadable = True
        return
    event.client_ms = client_ms
    sent = fields.get("stm")
    sent_ms = client_ms if sent == stated else _milliseconds(sent)
    if sent_ms is not None and NEGATIVE_AGE_MS <= sent_ms - client_ms < 0:
        sent_ms = client_ms
    event.sent_ms = sent_ms


def _context_of(fields: Members) -> Members:
    """What the fields of every event say, in the order in which they were sent."""
    context: Members = {}
    for field in fields:
        if field not in _CONTEXT or (value := fields[field]) is None or value == "":
            continue
        group, name = _CONTEXT[field]
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


def _json(event: Event, ingest: Ingest, *, fields: Members, names: tuple[str, str]) -> Any:
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
        sent = _text(fields.get(plain))
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


def _text(value: object) -> str | None:
    """A field as a text; some trackers send numbers as numbers."""
    if type(value) is str:
        return value or None
    return str(value) if type(value) is int else None


def _milliseconds(value: object) -> int | None:
    if type(value) is str:
        try:
            value = int(value if len(value) <= _TIME_CHARS else value[:_TIME_CHARS])
        except ValueError:
            return None
    return value if type(value) is int and 0 <= value <= MAX_MS else None


SNOWPLOW: Final = Format(name="snowplow", endpoints=lambda ingest: (Snowplow(ingest), SnowplowPixel(ingest)))
