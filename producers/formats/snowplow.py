"""Snowplow's tracker protocol: `POST /com.snowplowanalytics.snowplow/tp2` and `GET /i`. Pure; docs/clients.md shows
the mapping.

Every field is a text under a short name; self-describing events and entities are JSON in a text, plain or as base64.
Nothing sets a cookie: a visitor is known by the ids that the tracker sends.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final

import msgspec
import orjson

from producers.access.keys import KeyRing
from producers.formats.port import BaseEndpoint, Format, Reading, Request, RoutePath
from producers.formats.snowplow_entities import Entities, entities_of, event_of
from producers.formats.snowplow_fields import NAMES, PROPERTIES, context_of, fields_of, json_of, set_times, text_of
from producers.formats.translating import random_id, read_each, take_order
from producers.http.body import malformed, split_array
from producers.http.messages import ANY_SITE, Answer, key_of
from producers.ingest.checks import Ingest
from producers.ingest.event import Event, Members
from producers.ingest.verdicts import RefusedError, Sender
from schemas.reasons import RejectReason

GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""One transparent pixel."""
_PIXEL: Final = Answer(200, GIF, ((b"content-type", b"image/gif"), (b"cache-control", b"no-store"), ANY_SITE))
_LABEL: Final = "/com.snowplowanalytics.snowplow/tp2"
_APP_ID: Final = re.compile(rb'"aid"\s*:\s*"([^"\\]{1,128})"')


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
        return fields_of(request.query).get("aid")

    def _elements(self, request: Request) -> list[bytes]:
        return [orjson.dumps({"eid": random_id("sp"), **fields_of(request.query)})]


def _translated(ingest: Ingest, fields: Members, *, is_anonymous: bool) -> Event:
    if is_anonymous:
        for name in ("ip", "nuid", "tnuid"):
            fields.pop(name, None)
    event = Event(id=text_of(fields.get("eid")), context=context_of(fields))
    if "uid" in fields:
        event.user_id = text_of(fields["uid"])
    _name(event, ingest, fields=fields)
    device_id = _add_entities(event, ingest, fields=fields) if "co" in fields or "cx" in fields else None
    event.anonymous_id = text_of(fields.get("duid")) or _other_id(fields, device_id)
    take_order(event.properties)
    set_times(event, fields)
    return event


def _other_id(fields: Members, device_id: str | None) -> str | None:
    """The id of a visitor without an id of the tracker: of the network, of the device, else of the session."""
    return text_of(fields.get("nuid")) or text_of(fields.get("tnuid")) or device_id or text_of(fields.get("sid"))


def _name(event: Event, ingest: Ingest, *, fields: Members) -> None:
    """Name and properties, by the kind of event."""
    kind = fields.get("e")
    if kind == "ue":
        event.name, event.properties = event_of(json_of(event, ingest, fields=fields, names=("ue_pr", "ue_px")))
        return
    if kind != "se" and kind not in ("pv", "pp", "tr", "ti"):
        raise RefusedError(RejectReason.UNSUPPORTED_TYPE, f"e {str(kind)[:32]!r} is none of pv pp se ue tr ti")
    event.name = text_of(fields.get("se_ac")) if kind == "se" else NAMES[kind]
    for field, name in PROPERTIES.get(kind, {}).items():
        value = fields.get(field)
        if value is not None and value != "":
            event.properties[name] = value


def _add_entities(event: Event, ingest: Ingest, *, fields: Members) -> str | None:
    """Add what accompanies the event; the id of the device, where it is stated."""
    try:
        entities = entities_of(json_of(event, ingest, fields=fields, names=("co", "cx")))
    except RefusedError:  # the event can do without
        entities = Entities(all=fields.get("co") or fields.get("cx"))
    for name, value in entities.order.items():
        event.properties.setdefault(name, value)
    if entities.all:
        event.context["contexts"] = entities.all
    if entities.contacts:
        event.context["traits"] = entities.contacts
    return entities.device_id


SNOWPLOW: Final = Format(name="snowplow", endpoints=lambda ingest: (Snowplow(ingest), SnowplowPixel(ingest)))
