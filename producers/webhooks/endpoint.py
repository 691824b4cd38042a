"""`POST /v1/webhooks/<name>`: a vendor's webhook as a format of the collector. No I/O, no clock.

Who cannot prove itself is refused (401 bad_signature), a genuine delivery outside the replay window too (400
stale_delivery). What is taken is answered at once; what only the CRM's API can tell is left to the enricher.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs

import msgspec

from producers.access.keys import KeyRing
from producers.formats.native import shown, taken
from producers.formats.port import Reading, Request
from producers.http.body import RequestError
from producers.http.messages import JSON, Header
from producers.ingest.checks import Ingest
from producers.ingest.objects import is_deeper
from producers.ingest.verdicts import Deferred, Outcome, Sender
from producers.webhooks import signatures
from producers.webhooks.bitrix24 import token_of
from producers.webhooks.config import Hook
from producers.webhooks.hooked import HookRecord, encode_hook
from producers.webhooks.mapper import Mapper
from producers.webhooks.providers import PATH_SECRET, PROVIDERS
from producers.webhooks.signatures import Check
from producers.webhooks.told import Arrived, Told
from schemas.reasons import RejectReason

PREFIX: Final = "/v1/webhooks/"
_encode = msgspec.json.Encoder().encode


class Endpoint:
    """One hook's address."""

    def __init__(self, hook: Hook, ingest: Ingest) -> None:
        self._hook = hook
        self._provider = PROVIDERS[hook.provider]
        self._mapper = Mapper(hook, ingest)
        self._events, self._depth = ingest.limits.events, ingest.limits.depth
        self._secrets = hook.keys
        self.letter_headers = self._provider.headers
        """Headers that a dead letter keeps, because the body says nothing without them."""

    def sender_of(self, request: Request, keys: KeyRing) -> Sender | None:
        """The hook's source, once the delivery has proved genuine. Write keys play no part."""
        check = self._check(request)
        if check is Check.STALE:
            raise RequestError(
                RejectReason.STALE_DELIVERY,
                "the delivery is outside the replay window",
                f"its signed time is more than {signatures.WINDOW_MS // 60_000} minutes from this clock",
            )
        if check is Check.FORGED:
            raise RequestError(
                RejectReason.BAD_SIGNATURE,
                "the delivery does not prove that it is genuine",
                f"check the secrets of the hook {self._hook.name!r}",
            )
        return self._mapper.sender

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each thing that the delivery tells."""
        hook = self._hook
        body, limit = request.body, self._depth
        if body[:1] in (b"{", b"[") and body.count(b"{") + body.count(b"[") > limit and is_deeper(body, limit):
            raise RequestError(RejectReason.TOO_DEEP, "the body is nested too deep", f"deeper than {limit}")
        arrived = Arrived(request.body, request.headers, hook.account or hook.name, hook.currency)
        delivery = self._provider.read(arrived)
        if len(delivery.told) > self._events:
            raise RequestError(RejectReason.TOO_MANY_EVENTS, "too many events in one delivery", str(self._events))
        verdicts = [self._outcome(one, request.received_at_ms) for one in delivery.told]
        return Reading([one.element for one in delivery.told], verdicts, delivery.id)

    def answer(self, request: Request, reading: Reading) -> tuple[bytes, Sequence[Header]]:
        """`{"accepted", "results"}`."""
        results = shown(reading.verdicts)
        return _encode({"accepted": taken(results), "results": results}), (JSON,)

    def _outcome(self, told: Told, received_at_ms: int) -> Outcome:
        if told.deal is None or self._hook.api is None:
            return self._mapper.verdict(told, received_at_ms)
        record = HookRecord(
            hook=self._hook.name,
            id=told.id,
            received_at_ms=received_at_ms,
            payload=told.element.decode(),
        )
        return Deferred(told.id, told.subject.encode(), encode_hook(record))

    def _check(self, request: Request) -> Check:
        hook, headers, body = self._hook, request.headers, request.raw_body
        now_ms = request.received_at_ms
        if hook.provider == "stripe":
            return signatures.check_stripe(body, headers.get(b"stripe-signature"), self._secrets, now_ms)
        if hook.provider == "shopify":
            return signatures.check_shopify(body, headers.get(b"x-shopify-hmac-sha256"), self._secrets)
        if hook.provider == "generic":
            found = headers.get(b"webhook-id"), headers.get(b"webhook-timestamp"), headers.get(b"webhook-signature")
            return signatures.check_standard(body, found, self._secrets, now_ms)
        if hook.provider == "hubspot":
            return self._check_hubspot(request)
        offered = [*self._in_address(request), *signatures.basic_of(headers.get(b"authorization"))]
        if hook.provider == "bitrix24":
            offered = [token_of(request.body)]
        return signatures.check_shared(self._secrets, offered)

    def _check_hubspot(self, request: Request) -> Check:
        headers, url = request.headers, self._hook.public_url or ""
        pair = headers.get(b"x-hubspot-signature-v3"), headers.get(b"x-hubspot-request-timestamp")
        if pair[0] is None and self._hook.legacy_signatures:
            old = headers.get(b"x-hubspot-signature"), headers.get(b"x-hubspot-signature-version")
            return signatures.check_hubspot_legacy(request.raw_body, old, self._secrets, method=request.method, url=url)
        return signatures.check_hubspot(
            request.raw_body, pair, self._secrets, request.received_at_ms, method=request.method, url=url
        )

    def _in_address(self, request: Request) -> list[bytes]:
        """The secret behind the hook's name in the path, or `?secret=`."""
        if self._hook.provider not in PATH_SECRET:
            return []
        rest = request.path.removeprefix(PREFIX + self._hook.name).strip("/")
        try:
            asked = parse_qs(request.query.decode("latin-1")).get("secret", [])
        except ValueError:
            asked = []
        return [one.encode("utf-8", "surrogateescape") for one in (rest, *asked[:4])]
