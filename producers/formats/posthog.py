"""PostHog's capture API: one event, an array or a batch, as JSON, in a form as base64, or gzipped. Pure;
docs/clients.md shows the mapping.

Members that begin with `$` come from the client: they describe the person, the page and the device, and go to the
context. All others are the properties of the event.
"""

from __future__ import annotations

import binascii
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
import orjson

from producers.access.keys import KeyRing
from producers.formats.port import BaseEndpoint, Format, Page, Reading, Request, RoutePath, late_in
from producers.formats.posthog_pages import flags, settings
from producers.formats.posthog_person import ids_of
from producers.formats.translating import content_id, dict_of, id_of, random_id, read_each, take_order
from producers.http.body import RequestError, decompress, malformed, split_array
from producers.http.messages import JSON, Answer, key_of
from producers.ingest.checks import Ingest
from producers.ingest.event import Event, Members
from producers.ingest.times import parse_time_ms
from producers.ingest.verdicts import Sender
from schemas.ids import clean_event_id
from schemas.reasons import RejectReason

_OK: Final = Answer(200, b'{"status":"Ok"}', (JSON,))
_NAMES: Final = {
    "$pageview": "page_view",
    "$pageleave": "page_leave",
    "$create_alias": "alias",
    "$merge_dangerously": "alias",
    "$groupidentify": "group",
}
_PLACES: Final[dict[str, Any]] = {
    "$current_url": ("page", "url"),
    "$pathname": ("page", "path"),
    "$referrer": ("page", "referrer"),
    "$device_type": ("device", "type"),
    "$session_id": ("session", "id"),
    "$lib": ("library", "name"),
    "$lib_version": ("library", "version"),
    "$ip": (None, "ip"),
    "$raw_user_agent": (None, "userAgent"),
    "$browser_language": (None, "locale"),
    "$timezone": (None, "timezone"),
    **dict.fromkeys(("token", "api_key", "distinct_id", "$set", "$set_once", "$group_set")),
}
"""Where a member goes in the context; None for one that goes elsewhere or nowhere. Others keep their names."""
_PROFILE: Final = frozenset({"$set", "$set_once", "$group_set"})
_TIME_CHARS: Final = 64
_SECONDS_BELOW: Final = 100_000_000_000
"""A number of a time below this says seconds, above milliseconds."""


_NOTHING: Final = msgspec.Raw(b"null")


class _Body(msgspec.Struct):
    """What events share, or one event of which only the key is looked at."""

    batch: msgspec.Raw = _NOTHING
    data: msgspec.Raw = _NOTHING
    sent_at: Any = None
    historical_migration: Any = None
    api_key: Any = None
    token: Any = None
    dollar_token: Any = msgspec.field(default=None, name="$token")
    properties: msgspec.Raw = msgspec.Raw(b"{}")


class _Properties(msgspec.Struct):
    token: Any = None


_body: Final = msgspec.json.Decoder(_Body)
_properties: Final = msgspec.json.Decoder(_Properties)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class PostHog(BaseEndpoint):
    """Every path of the capture API."""

    paths = tuple(RoutePath("GET POST", path) for path in ("/batch", "/e", "/i/v0/e", "/capture", "/track", "/engage"))
    id_member = "uuid"

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    def sender_of(self, request: Request, keys: KeyRing) -> Sender | None:
        """By the project token: `api_key` or `token` of the request, else `token` of its first event."""
        key = key_of(request.headers, request.query, request.body)
        return keys.sender_of(key or _token_of_first(request.body))

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each event."""
        elements, shared = self._split(request.body)
        sent_ms, is_skewed = _sent_ms(shared.sent_at, request.query), shared.historical_migration is not True

        def translate(members: Members, raw: bytes, number: int) -> Event:  # noqa: ARG001 - as every format
            event = _translated(members, number)
            _set_times(
                event,
                members,
                sent_ms=sent_ms if is_skewed else None,
                received_at_ms=request.received_at_ms,
                is_skewed=is_skewed,
            )
            return event

        return read_each(self._ingest, elements, request=request, sender=sender, translate=translate, id_member="uuid")

    def answer(self, reading: Reading) -> Answer:
        """`{"status":"Ok"}`, and how many of its events are too late to be counted."""
        late = late_in(reading)
        return Answer(200, b'{"status":"Ok","late":%d}' % late, (JSON,)) if late else _OK

    def body_of(self, request: Request) -> bytes:
        """The JSON, whatever it came in: a form or a query with `data`, plain, in base64 or gzipped."""
        body = request.body.strip()
        if body[:1] in (b"{", b"["):
            return request.body
        form = body if body else request.query
        if b"data=" not in form:
            raise malformed(request.body)
        try:
            text = parse_qs(form.decode("latin-1"), max_num_fields=100)["data"][0].strip()
        except (ValueError, KeyError):
            raise malformed(request.body) from None
        return text.encode() if text[:1] in ("{", "[") else self._unpacked(text)

    def _unpacked(self, text: str) -> bytes:
        """Base64, where a plus may have become a blank; gzipped or not."""
        try:
            text = text.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
            packed = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
        except ValueError:
            raise RequestError(
                RejectReason.MALFORMED_JSON, "data is neither JSON nor base64 of it", "send data=<base64 of JSON>"
            ) from None
        return decompress(packed, "", self._ingest.limits.body_bytes)

    def _split(self, body: bytes) -> tuple[list[bytes], _Body]:
        """(the events, what they share)."""
        body, limit = body.strip(), self._ingest.limits.events
        if body[:1] == b"[":
            return split_array(body, limit), _Body()
        try:
            shared = _body.decode(body)
        except _UNREADABLE:
            raise malformed(body) from None
        for events in (shared.batch, shared.data):
            if bytes(events)[:1] == b"[":
                return split_array(bytes(events), limit), shared
        return [body], shared


def _token_of_first(body: bytes) -> str | None:
    """The token that an event carries itself."""
    try:
        body = body.strip()
        event = _body.decode(body) if body[:1] == b"{" else _body.decode(split_array(body, 2**31)[0])
        if bytes(event.batch)[:1] == b"[":
            event = _body.decode(split_array(bytes(event.batch), 2**31)[0])
        own = _properties.decode(event.properties).token
    except (*_UNREADABLE, RequestError, IndexError):
        return None
    return next((one for one in (event.api_key, event.token, event.dollar_token, own) if isinstance(one, str)), None)


def _translated(members: Members, number: int) -> Event:
    sent = members.get("properties")
    if type(sent) is not dict:
        sent = {}
    name = members.get("event")
    if name is None and ("$set" in members or "$set_once" in members):
        name = "$set"
    event_id = members.get("uuid")
    if type(event_id) is not str or clean_event_id(event_id) is None:
        event_id = _event_id(members, sent, number=number)
    user_id, anonymous_id = ids_of(members, sent, name=name)
    event = Event(id=event_id, user_id=user_id, anonymous_id=anonymous_id)
    if type(name) is str:
        event.name = _NAMES.get(name) or name.lstrip("$")
    if _share_out(event.properties, context=event.context, sent=sent) or "$set" in members or "$set_once" in members:
        _add_profile(event, sent, members)
    title = event.properties.get("title")
    if name == "$pageview" and title is not None:
        event.context.setdefault("page", {})["title"] = title
    take_order(event.properties)
    return event


def _add_profile(event: Event, *holders: Members) -> None:
    """What describes the person goes to the traits; what describes a group goes to the properties of the event."""
    traits: Members = {}
    for holder in holders:
        traits.update(dict_of(holder.get("$set_once")))
        traits.update(dict_of(holder.get("$set")))
        for member, value in dict_of(holder.get("$group_set")).items():
            event.properties.setdefault(member, value)
    if traits:
        event.context["traits"] = traits


def _share_out(properties: Members, *, context: Members, sent: Members) -> bool:
    """The client's own members to the context, all others to the properties. Whether there are traits among them."""
    has_profile = False
    for name, value in sent.items():
        place = _PLACES.get(name, name)
        if place is name:
            if name[:1] == "$":
                context[name] = value
            else:
                properties[name] = value
        elif place is None:
            has_profile = has_profile or name in _PROFILE
        elif value is not None:
            group, member = place
            if group is None:
                context[member] = value
            elif group in context:
                context[group][member] = value
            else:
                context[group] = {member: value}
    return has_profile


def _event_id(members: Members, sent: Members, *, number: int) -> str:
    """The id that older clients send; else one made of the content, where a time tells two events apart."""
    stated = clean_event_id(id_of(members.get("uuid"))) or clean_event_id(id_of(sent.get("$insert_id")))
    if stated is not None:
        return stated
    timestamp = members.get("timestamp")
    if timestamp is None:
        return random_id("ph")
    about = orjson.dumps([members.get("event"), members.get("distinct_id"), sent], default=str)
    return content_id("ph", f"{timestamp}\0{number}\0", raw=about)


def _set_times(event: Event, members: Members, *, sent_ms: int | None, received_at_ms: int, is_skewed: bool) -> None:
    stated = members.get("timestamp")
    if stated is None:
        stated = dict_of(members.get("properties")).get("$time")
    client_ms = None if stated is None else _moment_ms(stated)
    if client_ms is not None:
        event.client_ms = client_ms
        if is_skewed:
            own = members.get("sent_at")
            event.sent_ms = sent_ms if own is None else _moment_ms(own)
        return
    offset = members.get("offset")
    if isinstance(offset, int) and not isinstance(offset, bool) and 0 <= offset <= received_at_ms:
        event.client_ms = received_at_ms - offset
    else:
        event.is_time_unreadable = stated is not None


def _sent_ms(sent_at: object, query: bytes) -> int | None:
    """When the request was sent: in the body, or in the query of browsers."""
    if sent_at is None and (b"sent_at=" in query or b"_=" in query):
        try:
            parameters = parse_qs(query.decode("latin-1"), max_num_fields=100)
        except ValueError:
            return None
        text = (parameters.get("sent_at") or parameters.get("_") or [""])[0]
        return _moment_ms(int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else text)
    return _moment_ms(sent_at)


def _moment_ms(value: object) -> int | None:
    """Epoch milliseconds of a text, or of a number of seconds or milliseconds."""
    if type(value) is str:
        return parse_time_ms(value if len(value) <= _TIME_CHARS else value[:_TIME_CHARS])
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _SECONDS_BELOW * 1000:
        return int(value * 1000 if value < _SECONDS_BELOW else value)
    return None


POSTHOG: Final = Format(
    name="posthog",
    endpoints=lambda ingest: (PostHog(ingest),),
    pages=(
        Page("GET POST", "/flags", flags),
        Page("GET POST", "/decide", flags),
        Page("GET", "/array/*", settings),
    ),
)
