"""What funnelcast.js sends: native events in an envelope that says when it was sent, so a wrong clock does no harm.

Pure. An event keeps its numbers as they were sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from producers.access.origins import origin_of
from producers.formats.native import verdicts_answer
from producers.formats.port import BaseEndpoint, Format, Reading, Request, RoutePath
from producers.http.body import RequestError, malformed, too_many
from producers.http.messages import Answer
from producers.ingest.checks import Ingest
from producers.ingest.event import ABSENT, EMPTY_OBJECT, Event, Members, NativeEvent
from producers.ingest.objects import id_in, object_in, shape_refusal
from producers.ingest.text import parse_event
from producers.ingest.verdicts import Outcome, RefusedError, Rejected, Sender, Verdict
from schemas.reasons import RejectReason


class Envelope(msgspec.Struct):
    """The body of `POST /v1/browser`; the write key in it is read by `producers.http.messages`."""

    events: list[msgspec.Raw] | None = None
    sent_at_ms: int | None = None
    cookieless: bool = False
    """Nothing is stored in the browser: events without an id get one for the day."""
    debug: bool = False
    """The answer says what became of each event."""


_envelope: Final = msgspec.json.Decoder(Envelope)
_event: Final = msgspec.json.Decoder(NativeEvent)


class Snippet(BaseEndpoint):
    """`POST /v1/browser`: an envelope of events, or one event alone (as a dead letter holds it)."""

    paths = (RoutePath("POST", "/v1/browser"),)
    is_for_visitors = True
    dead_letter_headers = (b"user-agent",)
    id_member = "id"
    is_for_pages = True

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each event."""
        try:
            envelope = _envelope.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise malformed(request.body) from None
        elements = [request.body] if envelope.events is None else [bytes(one) for one in envelope.events]
        if not elements:
            raise RequestError(RejectReason.MALFORMED_JSON, "the envelope holds no event", "send at least one")
        if len(elements) > self._ingest.limits.events:
            raise too_many(len(elements), self._ingest.limits.events)
        alone = self._with_day_id(request) if envelope.cookieless else None
        complete = elements if alone is None else [alone(one, one) for one in elements]
        verdicts: list[Outcome] = [
            self._read(one, request, sender=sender, sent_ms=envelope.sent_at_ms) for one in complete
        ]
        return Reading(elements, verdicts, report=b"verdicts" if envelope.debug else b"", alone=alone)

    def answer(self, reading: Reading) -> Answer:
        """`{"success":true}`; to a page that debugs, what became of each event."""
        return verdicts_answer(reading, self._ingest.known_names) if reading.report else super().answer(reading)

    def _with_day_id(self, request: Request) -> Callable[[bytes, bytes], bytes] | None:
        """The id stands in the event itself, so that a dead letter of it has one when the salt is gone. One that the
        event states comes later and counts."""
        if self._ingest.day_ids is None:
            return None
        site = origin_of(request.headers) or ""
        agent = request.headers.get(b"user-agent", b"").decode("latin-1")
        visitor = self._ingest.day_ids(request.received_at_ms, site=site, address=request.address, agent=agent)
        member = b'{"anonymous_id":"%b",' % visitor.encode()
        return lambda sent, _: member + sent[1:] if sent[:1] == b"{" and sent[1:].strip() != b"}" else sent

    def _read(self, raw: bytes, request: Request, *, sender: Sender, sent_ms: int | None) -> Verdict:
        sent: NativeEvent | None = None
        parsed: Any = None
        try:
            parsed = parse_event(raw, self._ingest.limits)
            try:
                sent = _event.decode(raw)
            except msgspec.ValidationError as error:
                raise shape_refusal(raw, error) from None
            event = _event_of(sent, properties=object_in(parsed, "properties"), context=object_in(parsed, "context"))
        except RefusedError as refusal:
            return Rejected(refusal.reason, refusal.detail, id_in(parsed))
        event.sent_ms = sent_ms
        return self._ingest.checked(event, sender=sender, received_at_ms=request.received_at_ms)


def _event_of(sent: NativeEvent, *, properties: Members, context: Members) -> Event:
    """Its members go on as they were sent."""
    return Event(
        id=sent.id,
        name=sent.name,
        anonymous_id=sent.anonymous_id,
        contact_id=sent.contact_id,
        user_id=sent.user_id,
        email=sent.email,
        phone=sent.phone,
        properties=properties,
        context=context,
        properties_json=sent.properties_json if properties else EMPTY_OBJECT,
        context_json=sent.context_json if context else ABSENT,
        client_ms=sent.occurred_at_ms,
    )


SNIPPET: Final = Format(name="snippet", endpoints=lambda ingest: (Snippet(ingest),))
