"""Google Analytics 4's Measurement Protocol: `POST /mp/collect`, and `/debug/mp/collect`, which stores nothing and says
what is wrong. Pure; docs/clients.md shows the mapping.

The protocol has no id of an event: a purchase gets one from its transaction, another event from its content where it
states a time. The collector enforces its own limits only; Google's are reported at the debug path.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from producers.formats.ga4_rules import messages_of
from producers.formats.port import BaseEndpoint, Format, Reading, Request, RoutePath
from producers.formats.replaying import DeadLetterPayload, parsed
from producers.formats.translating import content_id, dict_of, id_of, random_id, read_each, take_order
from producers.http.body import malformed, split_array
from producers.http.messages import JSON, Answer
from producers.ingest.checks import Ingest
from producers.ingest.event import Event, Members
from producers.ingest.times import MAX_MS
from producers.ingest.verdicts import Rejected, Sender
from schemas.ids import clean_id
from schemas.reasons import RejectReason

_PAGE: Final = {"page_location": "url", "page_title": "title", "page_referrer": "referrer"}
_CAMPAIGN: Final = frozenset({"source", "medium", "campaign", "term", "content"})
"""Parameters of a campaign: the context has them too, as in other clients."""
_OF_CONTEXT: Final = frozenset({*_PAGE, "session_id"})
_PURCHASE: Final = "purchase"
_encode: Final = msgspec.json.Encoder().encode


class _Hit(msgspec.Struct):
    """What the events of a request share."""

    events: msgspec.Raw = msgspec.Raw(b"[]")
    client_id: Any = None
    app_instance_id: Any = None
    user_id: Any = None
    timestamp_micros: Any = None
    user_properties: Any = None
    consent: Any = None
    ip_override: Any = None
    user_location: Any = None
    device: Any = None


class _Shared(NamedTuple):
    """The same, read."""

    client_id: str | int | None
    user_id: str | int | None
    micros: Any
    client_ms: int | None
    context: Members


_hit: Final = msgspec.json.Decoder(_Hit)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class MeasurementProtocol(BaseEndpoint):
    """`POST /mp/collect`; the write key is its `api_secret`."""

    paths = (RoutePath("POST", "/mp/collect"),)

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each event."""
        try:
            hit = _hit.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise malformed(request.body) from None
        events = bytes(hit.events)
        elements = [events] if events[:1] == b"{" else split_array(events, self._ingest.limits.events)
        shared = _Shared(
            _device_id(hit),
            id_of(hit.user_id),
            hit.timestamp_micros,
            _milliseconds(hit.timestamp_micros),
            _shared_context(hit),
        )

        def translate(event: Members, raw: bytes, number: int) -> Event:
            return _translated(event, raw, number=number, shared=shared)

        reading = read_each(self._ingest, elements, request=request, sender=sender, translate=translate, id_member="id")
        reading.alone = partial(_alone, request.body)
        return reading

    def replay_body(self, dead_letter: DeadLetterPayload) -> bytes:
        """Google's hits have no ids; the collector makes one of content and time. Where none is stated the time is that
        of reception, to the microsecond by which this dead letter differs from others like it."""
        payload = dead_letter.payload
        hit = parsed(payload)
        events = hit.get("events") if isinstance(hit, dict) else None
        if not isinstance(hit, dict) or not isinstance(events, list) or "timestamp_micros" in hit:
            return payload
        if any(isinstance(event, dict) and "timestamp_micros" in event for event in events):
            return payload
        micros = dead_letter.received_at_ms * 1000 + (dead_letter.partition * 31 + dead_letter.offset) % 1000
        return payload.rstrip()[:-1] + b',"timestamp_micros":%d}' % micros


class DebugProtocol(MeasurementProtocol):
    """`POST /debug/mp/collect`: the events are read and forgotten."""

    paths = (RoutePath("POST", "/debug/mp/collect"),)

    def read(self, request: Request, sender: Sender) -> Reading:
        """No events, but messages: what the collector would reject, and which of Google's limits are exceeded."""
        verdicts = MeasurementProtocol.read(self, request, sender).verdicts
        try:
            messages = messages_of(orjson.loads(request.body), request.received_at_ms)
        except orjson.JSONDecodeError:
            raise malformed(request.body) from None
        messages += (_message(number, one) for number, one in enumerate(verdicts) if isinstance(one, Rejected))
        return Reading(report=_encode({"validationMessages": messages}))

    def answer(self, reading: Reading) -> Answer:
        """`{"validationMessages"}`."""
        return Answer(200, reading.report, (JSON,))


def _device_id(hit: _Hit) -> str | int | None:
    """Of the browser, else of the app: a placeholder hides no other one."""
    client_id, app_instance_id = id_of(hit.client_id), id_of(hit.app_instance_id)
    return app_instance_id or client_id if clean_id(client_id) is None else client_id


def _alone(body: bytes, event: bytes, _: bytes) -> bytes:
    """A request of one event with everything that the events shared, so that it can be read again."""
    try:
        shared = {name: value for name, value in _members.decode(body).items() if name != "events"}
    except (UnicodeDecodeError, RecursionError):  # in a member that is not read
        raise malformed(body) from None
    return _encode(shared | {"events": [msgspec.Raw(event)]})


def _message(number: int, verdict: Rejected) -> dict[str, str]:
    is_person = verdict.reason is RejectReason.MISSING_PERSON
    return {
        "fieldPath": "client_id" if is_person else f"events[{number}]",
        "description": f"{verdict.reason.value}: {verdict.detail}",
        "validationCode": "VALUE_REQUIRED" if is_person else "VALUE_INVALID",
    }


def _shared_context(hit: _Hit) -> Members:
    context: Members = {}
    traits = {name: dict_of(one).get("value") for name, one in dict_of(hit.user_properties).items()}
    for name, value in (
        ("traits", traits),
        ("consent", hit.consent),
        ("ip", hit.ip_override),
        ("location", hit.user_location),
        ("device", _device_of(hit)),
    ):
        if value:
            context[name] = value
    return context


def _device_of(hit: _Hit) -> Any:
    """With its category as `type`, as other clients call it."""
    category = dict_of(hit.device).get("category")
    return hit.device if category is None else {"type": category, **dict_of(hit.device)}


def _translated(members: Members, raw: bytes, *, number: int, shared: _Shared) -> Event:
    name, params = members.get("name"), dict_of(members.get("params"))
    event = Event(name=name if type(name) is str else None, anonymous_id=shared.client_id, user_id=shared.user_id)
    micros = members.get("timestamp_micros")
    if micros is None:
        micros, event.client_ms = shared.micros, shared.client_ms
    else:
        event.client_ms = _milliseconds(micros)
    event.is_time_unreadable = micros is not None and event.client_ms is None
    event.id = _event_id(event, params, stated=micros, raw=raw, number=number)
    event.properties = params
    event.context = shared.context if _OF_CONTEXT.isdisjoint(params) else _take_context(params, shared.context)
    if not _CAMPAIGN.isdisjoint(params):
        campaign = {name: params[name] for name in _CAMPAIGN if params.get(name) is not None}
        event.context = {**event.context, "campaign": campaign}
    take_order(params)
    return event


def _take_context(params: Members, shared: Members) -> Members:
    """Page and session out of the parameters."""
    context, page = shared.copy(), {}
    for param, place in _PAGE.items():
        value = params.pop(param, None)
        if value is not None and value != "":
            page[place] = value
    if page:
        context["page"] = page
    session_id = params.pop("session_id", None)
    if session_id is not None and session_id != "":
        context["session"] = {"id": session_id}
    return context


def _event_id(event: Event, params: Members, *, stated: object, raw: bytes, number: int) -> str:
    if event.name == _PURCHASE:
        transaction = clean_id(id_of(params.get("transaction_id")))
        if transaction is not None:
            return content_id("ga4-purchase", transaction)
    if stated is None:
        return random_id("ga4")
    return content_id("ga4", f"{event.anonymous_id}\0{event.user_id}\0{stated}\0{number}\0", raw=raw)


def _milliseconds(micros: object) -> int | None:
    """Of microseconds, as a number or a text."""
    text = str(micros) if isinstance(micros, str | int) and not isinstance(micros, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        return None
    milliseconds = int(text) // 1000
    return milliseconds if milliseconds <= MAX_MS else None


GA4: Final = Format(name="ga4", endpoints=lambda ingest: (MeasurementProtocol(ingest), DebugProtocol(ingest)))
