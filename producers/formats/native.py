"""funnelcast's own format: one event, an array, or one event a line, each with a verdict in the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from producers.formats.port import BaseEndpoint, Format, Reading, Request, RoutePath
from producers.http.body import RequestError, split_events
from producers.http.messages import JSON, Answer, Headers
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Deduplicated, Deferred, Outcome, Rejected, Scope, Sender, SequenceNumber
from schemas.reasons import RejectReason
from schemas.unknown_names import said, unknown_names

_encode: Final = msgspec.json.Encoder().encode
_JSON: Final = (JSON,)


class EventVerdict(msgspec.Struct, omit_defaults=True, gc=False):
    """What became of one element of the request, in its order."""

    id: str | None
    status: str
    reason: str | None = None
    detail: str | None = None
    tick: int | None = None
    late: bool = False
    """Accepted, and too late to be counted by any loaded funnel."""


class Warned(msgspec.Struct, omit_defaults=True):
    """What was accepted and is counted nowhere."""

    name: str
    events: int
    message: str
    did_you_mean: str | None = None


class _Verdicts(msgspec.Struct, omit_defaults=True):
    accepted: int
    results: list[EventVerdict]
    warnings: list[Warned] | None = None


class Native(BaseEndpoint):
    """`POST /v1/events`."""

    paths = (RoutePath("POST", "/v1/events", is_shown_at_start=True),)
    id_member = "id"

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each element."""
        elements = split_events(request.body, self._ingest.limits.events)
        sequence = sequence_of(request.headers, sender)
        native, received_at_ms = self._ingest.native, request.received_at_ms
        verdicts: list[Outcome]
        if sequence is None:
            verdicts = [native(raw, sender=sender, received_at_ms=received_at_ms) for raw in elements]
        else:
            session = sequence.session
            verdicts = [
                native(raw, sender=sender, received_at_ms=received_at_ms, sequence=SequenceNumber(session, number))
                for number, raw in enumerate(elements, sequence.number)
            ]
        return Reading(elements, verdicts)

    def answer(self, reading: Reading) -> Answer:
        """`{"accepted", "results"}`, and `warnings` where something is counted nowhere."""
        return verdicts_answer(reading, self._ingest.known_names)


def sequence_of(headers: Headers, sender: Sender) -> SequenceNumber | None:
    """The number of the first event of an ordered sender. The key is part of the session: two senders that chose one
    name are never taken for retries of each other."""
    header = headers.get(b"x-funnelcast-sequence")
    if header is None:
        return None
    session, _, number = header.decode("latin-1").rpartition(":")
    is_valid = 0 < len(session) <= 64 and session.isascii() and session.isprintable()
    if not is_valid or not number.isascii() or not number.isdigit() or len(number) > 15:
        raise RequestError(
            RejectReason.BAD_SEQUENCE,
            "X-Funnelcast-Sequence cannot be read",
            "write <session>:<number of the first event>",
        )
    if sender.scope is Scope.BROWSER:
        raise RequestError(RejectReason.BAD_SEQUENCE, "a sequence needs a write key of the scope server or historical")
    return SequenceNumber(f"{sender.id or sender.source}/{session}", int(number))


def verdicts_answer(reading: Reading, known_names: Collection[str] = ()) -> Answer:
    """The verdicts one by one: the answer of this format, and to every dead letter that is sent again. `known_names`:
    what may have been meant by a name that no funnel looks at."""
    results = shown(reading.verdicts)
    return Answer(200, _encode(_Verdicts(taken(results), results, _warnings(reading, known_names))), _JSON)


def _warnings(reading: Reading, known_names: Collection[str]) -> list[Warned] | None:
    names = [one.name for one in reading.verdicts if type(one) is Accepted and not one.is_known]
    if not names:
        return None
    return [
        Warned(each["name"], each["events"], f"accepted, but no funnel looks at {said(each)}", each["did_you_mean"])
        for each in unknown_names(Counter(names), known_names)
    ] or None


def shown(verdicts: Sequence[Outcome]) -> list[EventVerdict]:
    """The verdicts as an answer states them."""
    return [
        EventVerdict(verdict.id, "accepted", late=verdict.is_late) if type(verdict) is Accepted else _shown(verdict)
        for verdict in verdicts
    ]


def taken(results: Sequence[EventVerdict]) -> int:
    """How many were accepted."""
    return sum([one.status == "accepted" for one in results])


def _shown(verdict: Outcome) -> EventVerdict:
    if isinstance(verdict, Accepted | Deferred):
        return EventVerdict(verdict.id, "accepted")
    if isinstance(verdict, Rejected):
        return EventVerdict(verdict.id, "rejected", verdict.reason.value, verdict.detail)
    if isinstance(verdict, Deduplicated):
        return EventVerdict(verdict.id, "deduplicated")
    return EventVerdict(None, "accepted", tick=verdict.tick_ms)


NATIVE: Final = Format(name="native", endpoints=lambda ingest: (Native(ingest),))
