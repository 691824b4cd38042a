"""CloudEvents 1.0 over HTTP, in their three modes. Pure; docs/clients.md shows the mapping.

A copy is recognised by `(source, id)` of the CloudEvent, so both together make our id. The name is the whole type:
`com.example.a.paid` and `com.example.b.paid` are two names.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
import orjson

from producers.formats.cloudevents_data import other_data, properties_of, raw_object
from producers.formats.native import verdicts_answer
from producers.formats.port import BaseEndpoint, Format, Reading, Request, RoutePath
from producers.formats.translating import id_of
from producers.http.body import RequestError, malformed, split_array
from producers.http.messages import Answer, Headers
from producers.ingest.checks import Ingest
from producers.ingest.event import EMPTY_OBJECT, Event
from producers.ingest.objects import holds_personal
from producers.ingest.text import parse_event
from producers.ingest.times import parse_time_ms
from producers.ingest.verdicts import RefusedError, Rejected, Sender, Verdict
from schemas.ids import MAX_ID_CHARS, clean_event_id
from schemas.reasons import RejectReason

Attributes = dict[str, Any]
_BATCH: Final = "application/cloudevents-batch"
_STRUCTURED: Final = "application/cloudevents"
_PERSON: Final = frozenset({"userid", "anonymousid", "contactid", "email", "phone"})
"""Extension attributes that say who it was."""
_OURS: Final = _PERSON | {"id", "specversion", "time", "datacontenttype"}
"""Attributes that become members of the event; the others stay together in its context."""
_DATA_IDS: Final = {
    "user_id": "user_id",
    "userId": "user_id",
    "anonymous_id": "anonymous_id",
    "anonymousId": "anonymous_id",
    "contact_id": "contact_id",
    "contactId": "contact_id",
}
"""Members of the data that say who it was, and what they say."""
_ESCAPED: Final = re.compile(r"\\(.)")


class _WithData(msgspec.Struct, gc=False):
    data: msgspec.Raw = msgspec.Raw(b"null")
    data_base64: msgspec.Raw = msgspec.Raw(b"null")


_with_data = msgspec.json.Decoder(_WithData)


class CloudEvents(BaseEndpoint):
    """`POST /v1/cloudevents`."""

    paths = (RoutePath("POST", "/v1/cloudevents"),)

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each CloudEvent."""
        content_type = request.headers.get(b"content-type", b"").decode("latin-1").strip().lower()
        mode = _mode_of(content_type, request)
        if mode == "binary":
            return self._binary(request, content_type, sender=sender)
        is_batch = mode == "batch"
        elements = split_array(request.body, self._ingest.limits.events) if is_batch else [request.body]
        return Reading(
            elements, [self._structured(one, sender, received_at_ms=request.received_at_ms) for one in elements]
        )

    def answer(self, reading: Reading) -> Answer:
        """`{"accepted", "results"}`, as for native events."""
        return verdicts_answer(reading, self._ingest.known_names)

    def _structured(self, raw: bytes, sender: Sender, *, received_at_ms: int) -> Verdict:
        """Attributes and data in one JSON object."""
        attributes: Any = None
        try:
            attributes = parse_event(raw, self._ingest.limits)
            if not isinstance(attributes, dict):
                raise RefusedError(RejectReason.NOT_AN_OBJECT, "a CloudEvent is a JSON object")
            members = _with_data.decode(raw)
            data = attributes.pop("data", None)
            encoded = attributes.pop("data_base64", None)
            if data is None and encoded is not None:
                properties = raw_object("data_base64", members.data_base64)
            else:
                properties = properties_of(data, members.data)
            return self._verdict(attributes, data, properties=properties, sender=sender, received_at_ms=received_at_ms)
        except RefusedError as refusal:
            return Rejected(refusal.reason, refusal.detail, _id_in(attributes))

    def _binary(self, request: Request, content_type: str, *, sender: Sender) -> Reading:
        """Attributes in `ce-` headers, data in the body under its own content type."""
        attributes: Attributes = {}
        verdict: Verdict
        try:
            attributes = _attributes_of(request.headers)
            data, properties = self._data_of(request.body, content_type)
            verdict = self._verdict(
                attributes, data, properties=properties, sender=sender, received_at_ms=request.received_at_ms
            )
        except RefusedError as refusal:
            verdict = Rejected(refusal.reason, refusal.detail, _id_in(attributes))
        is_rejected = isinstance(verdict, Rejected)
        return Reading([_as_structured(attributes, request.body) if is_rejected else request.body], [verdict])

    def _data_of(self, body: bytes, content_type: str) -> tuple[Any, msgspec.Raw]:
        """(the data as a value, where it is JSON; the properties made of it)."""
        media_type = content_type.partition(";")[0].strip()
        if not body.strip():
            return None, EMPTY_OBJECT
        if media_type in ("", "application/json", "text/json") or media_type.endswith("+json"):
            try:
                data = parse_event(body, self._ingest.limits)
            except RefusedError as refusal:
                if refusal.reason is RejectReason.MALFORMED_JSON:
                    raise malformed(body) from None
                raise
            return data, properties_of(data, msgspec.Raw(body.strip()))
        if len(body) > self._ingest.limits.event_bytes:
            raise RefusedError(RejectReason.EVENT_TOO_LARGE, f"{len(body)} bytes of data")
        return None, other_data(body, media_type)

    def _verdict(
        self, attributes: Attributes, data: Any, *, properties: msgspec.Raw, sender: Sender, received_at_ms: int
    ) -> Verdict:
        if attributes.get("specversion") != "1.0":
            version = str(attributes.get("specversion"))[:32]
            raise RefusedError(RejectReason.UNSUPPORTED_TYPE, f"specversion {version!r} is not '1.0'")
        members = data if type(data) is dict else {}
        event = Event(
            id=_event_id(attributes),
            name=_text("type", attributes.get("type"), reason=RejectReason.MISSING_NAME),
            properties=members,
            context=_context_of(attributes),
            properties_json=properties,
        )
        _name_person(event, attributes=attributes, data=members)
        is_named = event.user_id or event.anonymous_id or event.contact_id or event.email or event.phone
        if not is_named and not holds_personal(members, {}):
            event.user_id = _text_or_none(attributes.get("subject"))
        self._set_time(event, attributes.get("time"))
        verdict = self._ingest.checked(event, sender=sender, received_at_ms=received_at_ms)
        if type(verdict) is Rejected:
            raise RefusedError(verdict.reason, verdict.detail)  # its sender knows it by another id
        return verdict

    def _set_time(self, event: Event, time: object) -> None:
        """When it occurred, as the sender says; for a time that cannot be read or be true the time of reception is
        taken."""
        if time is None:
            return
        time_ms = parse_time_ms(time[:64]) if type(time) is str else None
        if time_ms is None or time_ms < self._ingest.limits.earliest_ms:
            event.is_time_unreadable = True
        else:
            event.client_ms = time_ms


def _mode_of(content_type: str, request: Request) -> str:
    """The mode by content type, else by headers, else by the body: some senders cannot choose their content type.
    Raises RequestError."""
    for prefix, mode in ((_BATCH, "batch"), (_STRUCTURED, "structured")):
        if content_type.startswith(prefix):
            if content_type.removeprefix(prefix).partition(";")[0].strip() not in ("", "+json"):
                raise _not_spoken("CloudEvents are read as JSON only")
            return mode
    if any(name.startswith(b"ce-") for name in request.headers):
        return "binary"
    if b'"specversion"' not in request.body:
        raise _not_spoken("this is no CloudEvent: neither ce- headers nor application/cloudevents+json")
    return "batch" if request.body.lstrip()[:1] == b"[" else "structured"


def _not_spoken(message: str) -> RequestError:
    detail = "send application/cloudevents+json, application/cloudevents-batch+json, or ce- headers"
    return RequestError(RejectReason.WRONG_CONTENT_TYPE, message, detail)


def _attributes_of(headers: Headers) -> Attributes:
    """What the `ce-` headers say. Raises RefusedError."""
    return {
        name[3:].decode("latin-1").lower(): _header_text(name, value)
        for name, value in headers.items()
        if name.startswith(b"ce-")
    }


def _as_structured(attributes: Attributes, body: bytes) -> bytes:
    """A CloudEvent of headers and body in structured form, complete in itself, for its dead letter."""
    try:
        orjson.loads(body or b"0")
        data: Attributes = {"data": msgspec.Raw(body)} if body.strip() else {}  # as it was sent, however deep
    except orjson.JSONDecodeError:
        data = {"data_base64": base64.b64encode(body).decode()}
    return msgspec.json.encode(attributes | data)


def _header_text(name: bytes, value: bytes) -> str:
    """A header's value in clear: percent-decoded once (the HTTP binding, 3.1.3.2). Raises RefusedError."""
    try:
        if b"%" in value or b'"' in value:
            text = value.decode().strip()
            if len(text) > 1 and text[0] == text[-1] == '"':
                text = _ESCAPED.sub(r"\1", text[1:-1])
            return unquote_to_bytes(text).decode()
        return value.decode()
    except UnicodeDecodeError:
        raise RefusedError(
            RejectReason.WRONG_TYPE, f"{name.decode('latin-1')[:64]} is no percent-encoded UTF-8"
        ) from None


def _event_id(attributes: Attributes) -> str:
    """Source and id as one, injective: a `#` of the source is encoded. Beyond 256 characters their SHA-256."""
    own = _text("id", attributes.get("id"), reason=RejectReason.MISSING_ID)
    if clean_event_id(own) is None:
        raise RefusedError(RejectReason.MISSING_ID, f"the attribute id is {own[:32]!r}, which stands for nothing")
    source = _text("source", attributes.get("source"), reason=RejectReason.MISSING_ID)
    if "%" in source or "#" in source:
        source = source.replace("%", "%25").replace("#", "%23")
    joined = f"{source}#{own}"
    if len(joined) <= MAX_ID_CHARS:
        return joined
    return "sha256:" + hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()


def _text(attribute: str, value: object, *, reason: RejectReason) -> str:
    if type(value) is str and (text := value.strip()):
        return text
    if value is None or value == "":
        raise RefusedError(reason, f"the attribute {attribute} is missing")
    raise RefusedError(RejectReason.WRONG_TYPE, f"the attribute {attribute} must be a text")


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _name_person(event: Event, *, attributes: Attributes, data: Attributes) -> None:
    """Who it was: as the extension attributes say, else as the data say. The checks find e-mails among the data."""
    if not _PERSON.isdisjoint(attributes):
        event.user_id = id_of(attributes.get("userid"))
        event.anonymous_id = id_of(attributes.get("anonymousid"))
        event.contact_id = id_of(attributes.get("contactid"))
        event.email, event.phone = _text_or_none(attributes.get("email")), _text_or_none(attributes.get("phone"))
    stated = _DATA_IDS.keys() & data.keys()
    if not stated:
        return
    if len(stated) == 1 and _PERSON.isdisjoint(attributes):  # nearly always
        (name,) = stated
        value = data[name]
        if type(value) is str and value:
            setattr(event, _DATA_IDS[name], value)
            return
    event.user_id = event.user_id or id_of(data.get("user_id")) or id_of(data.get("userId"))
    event.anonymous_id = event.anonymous_id or id_of(data.get("anonymous_id")) or id_of(data.get("anonymousId"))
    event.contact_id = event.contact_id or id_of(data.get("contact_id")) or id_of(data.get("contactId"))


def _context_of(attributes: Attributes) -> Attributes:
    """What else the attributes say."""
    return {"cloudevent": {name: value for name, value in attributes.items() if name not in _OURS}}


def _id_in(attributes: object) -> str | None:
    """How a rejected event is named in the answer: by its own id, as its sender knows it."""
    event_id = attributes.get("id") if isinstance(attributes, dict) else None
    return event_id[:MAX_ID_CHARS] if isinstance(event_id, str) else None


CLOUDEVENTS: Final = Format(name="cloudevents", endpoints=lambda ingest: (CloudEvents(ingest),))
