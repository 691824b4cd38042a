"""What funnelcast.js sends: native events in an envelope that says when it was sent, so that a wrong clock is mended.

Pure. An event keeps its numbers as they were sent; channel and campaign of the last touch
become properties where the event states none.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from producers.formats.attribution import attribute, origin_of_members
from producers.formats.port import BaseEndpoint, Format, Reading, Request, RoutePath
from producers.http.body import RequestError, malformed, too_many
from producers.ingest.checks import Ingest
from producers.ingest.objects import id_in, id_of, shape_refusal, take_objects
from producers.ingest.times import correct_skew_ms
from producers.ingest.verdicts import NativeEvent, RefusedError, Rejected, Sender, Times, Verdict
from schemas.reasons import RejectReason

_Members = dict[str, msgspec.Raw]


class Envelope(msgspec.Struct):
    """The body of `POST /v1/browser`; the write key in it is read by `producers.http.messages`."""

    events: list[msgspec.Raw] | None = None
    sent_at_ms: int | None = None


_envelope: Final = msgspec.json.Decoder(Envelope)
_event: Final = msgspec.json.Decoder(NativeEvent)
_members: Final = msgspec.json.Decoder(_Members)


class Snippet(BaseEndpoint):
    """`POST /v1/browser`: an envelope of events, or one event alone (as a dead letter holds it)."""

    paths = (RoutePath("POST", "/v1/browser"),)
    id_member = "id"

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
        return Reading(elements, [self._read(one, request, sender, envelope.sent_at_ms) for one in elements])

    def _read(self, raw: bytes, request: Request, sender: Sender, sent_ms: int | None) -> Verdict:
        event: NativeEvent | None = None
        parsed: Any = None
        try:
            parsed = self._ingest.check_text(raw)
            try:
                event = _event.decode(raw)
            except msgspec.ValidationError as error:
                raise shape_refusal(raw, error) from None
            has_contacts = take_objects(event, parsed)
            event.properties = _attributed(event.properties, parsed.get("context"))
            times = self._times(event.occurred_at_ms, sent_ms, request.received_at_ms)
            return self._ingest.finish(event, times, sender, sender.source, None, has_contacts=has_contacts)
        except RefusedError as refusal:
            return Rejected(refusal.reason, refusal.detail, id_of(event) or id_in(parsed))

    def _times(self, client_ms: int | None, sent_ms: int | None, received_ms: int) -> Times:
        occurred_at_ms, was_unusable = correct_skew_ms(
            client_ms=client_ms, sent_ms=sent_ms, received_ms=received_ms, max_skew_ms=self._ingest.limits.skew_ms
        )
        return Times(occurred_at_ms, received_ms, was_unusable)


def _attributed(properties: msgspec.Raw, context: object) -> msgspec.Raw:
    touch = context.get("last_touch") if isinstance(context, dict) else None
    if not isinstance(touch, dict) or not touch:
        return properties
    members: dict[str, Any] = dict(_members.decode(properties))
    attribute(members, origin_of_members(touch))
    return msgspec.Raw(msgspec.json.encode(members))


SNIPPET: Final = Format(name="snippet", endpoints=lambda ingest: (Snippet(ingest),))
