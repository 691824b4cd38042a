"""A 1x1 GIF as an event, for places that run no script: e-mails, banners, AMP pages. Pure. POST takes the same
parameters as a form.

`GET /pixel.gif` takes short or long parameter names; RudderStack's `/pixel/v1/track|page` takes the members of a
message as dotted names. No cookie is set: a visitor whom the link does not name is not guessed.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import unquote_plus

import orjson

from producers.access.keys import KeyRing
from producers.attribution.links import TAG_NAMES
from producers.formats.port import BaseEndpoint, Endpoint, Format, Reading, Request, RoutePath
from producers.formats.replaying import DeadLetterPayload, with_id_in_query
from producers.formats.segment_message import Segment
from producers.http.body import RequestError
from producers.http.messages import ANY_SITE, Answer, Header
from producers.ingest.checks import Ingest
from producers.ingest.event import Event
from producers.ingest.times import MAX_MS, parse_time_ms
from producers.ingest.verdicts import Rejected, Sender, Verdict
from schemas.reasons import RejectReason

GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
IMAGE: Final[Sequence[Header]] = (
    (b"content-type", b"image/gif"),
    (b"cache-control", b"no-store, no-cache, must-revalidate, private, max-age=0"),
    (b"pragma", b"no-cache"),
    (b"expires", b"0"),
    ANY_SITE,
)
"""Headers that keep browsers and mail proxies from answering from a cache, as far as they respect them."""
_ANSWER: Final = Answer(200, GIF, IMAGE)
NAMES: Final = {
    "e": "event",
    "i": "id",
    "a": "anonymous_id",
    "u": "user_id",
    "c": "contact_id",
    "t": "time",
    "anonymousId": "anonymous_id",
    "userId": "user_id",
    "contactId": "contact_id",
    "messageId": "id",
    "name": "event",
}
"""Other names of a parameter."""
DEFAULT_NAME: Final = "impression"
MAX_QUERY_BYTES: Final = 8_192
MAX_PARAMETERS: Final = 100
_MAX_DEPTH: Final = 6
_KEY: Final = re.compile(rb"(^|&)(k|key|writeKey)=([^&]*)")
Parameters = dict[str, str]


class _Image(BaseEndpoint):
    """Reads one event of the query; an event that is refused is the request's refusal, so that a tester sees it."""

    is_for_visitors = True
    dead_letter_headers = (b"referer", b"user-agent")
    id_name: ClassVar[str]
    """The parameter that gets the id of a dead letter that is sent again."""

    def sender_of(self, request: Request, keys: KeyRing) -> Sender | None:
        """The sender of `k`, `key` or `writeKey`, else of the usual places."""
        match = _KEY.search(request.query)
        if match is None:
            return super().sender_of(request, keys)
        return keys.sender_of(unquote_plus(match[3].decode("latin-1")))

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict. Raises RequestError with the reason of the event."""
        query = request.query if request.method == "GET" else request.body
        try:
            verdict = self.verdict(parameters_of(query), request, sender=sender)
            if isinstance(verdict, Rejected):
                raise RequestError(verdict.reason, verdict.detail, "this pixel was not counted; see docs/clients.md")
        except RequestError as refusal:
            refusal.payload = _KEY.sub(rb"\1\2=***", query)
            raise
        return Reading([query], [verdict])

    def verdict(self, sent: Parameters, request: Request, *, sender: Sender) -> Verdict:
        """The verdict over the parameters of the link."""
        raise NotImplementedError

    def answer(self, reading: Reading) -> Answer:
        """The image."""
        return _ANSWER

    def replay_body(self, dead_letter: DeadLetterPayload) -> bytes:
        """The query, as a form."""
        return with_id_in_query(dead_letter, ("id", "i", "messageId"), name=self.id_name)


class Pixel(_Image):
    """`GET /pixel.gif?k=KEY&e=impression&a=ANONYMOUS&p.order_id=1`."""

    paths = (RoutePath("GET POST", "/pixel.gif"),)
    id_name = "id"

    def __init__(self, ingest: Ingest, new_id: Callable[[], str] = lambda: f"pixel-{uuid.uuid4()}") -> None:
        self._ingest = ingest
        self._new_id = new_id

    def verdict(self, sent: Parameters, request: Request, *, sender: Sender) -> Verdict:
        """The verdict over the parameters of the link."""
        members = {NAMES.get(name, name): value for name, value in sent.items()}
        page = request.headers.get(b"referer", b"").decode("latin-1")
        time = members.get("time")
        time_ms = None if time is None else self._time_ms(time)
        event = Event(
            id=members.get("id") or self._new_id(),
            name=members.get("event") or DEFAULT_NAME,
            anonymous_id=members.get("anonymous_id"),
            contact_id=members.get("contact_id"),
            user_id=members.get("user_id"),
            email=members.get("email"),
            phone=members.get("phone"),
            client_ms=time_ms,
            is_time_unreadable=time is not None and time_ms is None,
            properties=_properties(sent),
            knows_referrer=False,
            context=_context(sent, page),
        )
        return self._ingest.checked(event, sender=sender, received_at_ms=request.received_at_ms)

    def _time_ms(self, text: str) -> int | None:
        """Milliseconds since 1970, or RFC 3339; None where that is no time, or before there was anything to count."""
        is_number = text.isascii() and text.isdigit() and len(text) <= 15
        time_ms = int(text) if is_number else parse_time_ms(text[:64])
        return None if time_ms is None or not self._ingest.limits.earliest_ms <= time_ms <= MAX_MS else time_ms


class RudderPixel(_Image):
    """`GET /pixel/v1/track|page?writeKey=KEY&anonymousId=A&event=NAME&properties.value=1`."""

    id_name = "messageId"

    def __init__(self, segment: Segment, kind: str) -> None:
        self._segment = segment
        self._kind = kind
        self.paths = (RoutePath("GET POST", f"/pixel/v1/{kind}"),)

    def verdict(self, sent: Parameters, request: Request, *, sender: Sender) -> Verdict:
        """The verdict over the message that the dotted names spell."""
        message = nested({name: value for name, value in sent.items() if name not in ("k", "key", "writeKey")})
        return self._segment.read(
            orjson.dumps(message), sender=sender, received_at_ms=request.received_at_ms, kind=self._kind
        )


def parameters_of(query: bytes) -> Parameters:
    """The parameters of a query, the first of each name. Raises RequestError where there are too many."""
    if len(query) > MAX_QUERY_BYTES:
        raise RequestError(RejectReason.EVENT_TOO_LARGE, "the query is too long", f"at most {MAX_QUERY_BYTES} bytes")
    pairs = query.decode("latin-1").split("&")
    if len(pairs) > MAX_PARAMETERS:
        detail = f"at most {MAX_PARAMETERS}"
        raise RequestError(RejectReason.EVENT_TOO_LARGE, "the query holds too many parameters", detail)
    parameters: Parameters = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if value:
            parameters.setdefault(_clear(name), _clear(value))
    return parameters


def _clear(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def nested(flat: Parameters) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`. A name that contradicts another one (`a` and `a.b`) is left out."""
    whole: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".", _MAX_DEPTH)
        branch: Any = whole
        for step in path:
            branch = branch.setdefault(step, {}) if isinstance(branch, dict) else None
        if isinstance(branch, dict):
            branch.setdefault(last, value)
    return whole


def _properties(sent: Parameters) -> dict[str, Any]:
    """What stands under `p.`."""
    return {name[2:]: value for name, value in sent.items() if name[:2] == "p." and name[2:]}


def _context(sent: Parameters, page: str) -> dict[str, Any]:
    """The page that shows the pixel, and the campaign tags of the link."""
    tags = {name: value for name, value in sent.items() if name in TAG_NAMES}
    return ({"page": {"url": page}} if page else {}) | ({"last_touch": tags} if tags else {})


def _endpoints(ingest: Ingest) -> list[Endpoint]:
    segment = Segment(ingest, lambda: f"pixel-{uuid.uuid4()}")
    return [Pixel(ingest), *(RudderPixel(segment, kind) for kind in ("track", "page"))]


PIXEL: Final = Format(name="pixel", endpoints=_endpoints)
