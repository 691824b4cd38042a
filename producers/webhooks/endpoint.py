"""`POST /v1/webhooks/<name>`, and below it for a secret in the address: a vendor's webhook as an endpoint of the
collector. No I/O, no clock.

A delivery that does not prove that it is genuine is refused (401 bad_signature), a genuine one outside the replay
window too (400 stale_delivery). What is taken is answered at once; what only the CRM's API knows is left to the
enricher.
"""

from __future__ import annotations

from producers.access.keys import KeyRing
from producers.formats.native import verdicts_answer
from producers.formats.port import BaseEndpoint, Reading, Request, RoutePath
from producers.http.body import RequestError
from producers.http.messages import Answer
from producers.ingest.checks import Ingest
from producers.ingest.objects import is_deeper
from producers.ingest.verdicts import Deferred, Outcome, Sender
from producers.webhooks.config import Hook
from producers.webhooks.delivery import WebhookEvent, all_events_of
from producers.webhooks.hook_record import HookRecord, encode_hook
from producers.webhooks.mapper import Mapper
from producers.webhooks.signatures import WINDOW_MS, Check
from schemas.reasons import RejectReason


class HookEndpoint(BaseEndpoint):
    """One hook's address."""

    has_keys = False

    def __init__(self, hook: Hook, ingest: Ingest) -> None:
        self._hook = hook
        self._mapper = Mapper(hook, ingest)
        self._events, self._depth = ingest.limits.events, ingest.limits.depth
        self._provider, self._credentials = hook.vendor, hook.credentials
        self.dead_letter_headers = hook.vendor.headers
        self.paths = [RoutePath("POST", hook.path)]
        if hook.vendor.secret_in_path:  # no secret becomes part of a label
            self.paths.append(RoutePath("POST", f"{hook.path}/*", hook.path))

    def sender_of(self, request: Request, keys: KeyRing) -> Sender | None:
        """The hook's source, once the delivery has proved genuine. Write keys play no part."""
        check = self._provider.check(request, self._credentials)
        if check is Check.STALE:
            raise RequestError(
                RejectReason.STALE_DELIVERY,
                "the delivery is outside the replay window",
                f"its signed time is more than {WINDOW_MS // 60_000} minutes from this clock",
            )
        if check is Check.FORGED:
            raise RequestError(
                RejectReason.BAD_SIGNATURE,
                "the delivery does not prove that it is genuine",
                f"check the secrets of the hook {self._hook.name!r}",
            )
        return self._mapper.sender

    def read(self, request: Request, sender: Sender) -> Reading:
        """One verdict for each event of the delivery."""
        body, limit = request.body, self._depth
        if body[:1] in (b"{", b"[") and body.count(b"{") + body.count(b"[") > limit and is_deeper(body, limit):
            raise RequestError(RejectReason.TOO_DEEP, "the body is nested too deep", f"deeper than {limit}")
        delivery = self._hook.read(body, request.headers)
        if len(delivery.events) > self._events:
            raise RequestError(RejectReason.TOO_MANY_EVENTS, "too many events in one delivery", str(self._events))
        events = [one for event in delivery.events for one in self._hooks_of(event)]
        verdicts = [self._outcome(event, request.received_at_ms) for event in events]
        return Reading([event.element for event in events], verdicts, delivery.id)

    def answer(self, reading: Reading) -> Answer:
        """`{"accepted", "results"}`."""
        return verdicts_answer(reading)

    def _hooks_of(self, event: WebhookEvent) -> list[WebhookEvent]:
        """What the enricher asks about is one hook, whatever it says besides."""
        return [event] if self._is_asked_about(event) else all_events_of(event)

    def _is_asked_about(self, event: WebhookEvent) -> bool:
        return event.deal is not None and self._hook.api is not None

    def _outcome(self, event: WebhookEvent, received_at_ms: int) -> Outcome:
        if not self._is_asked_about(event):
            return self._mapper.verdict(event, received_at_ms)
        record = HookRecord(
            hook=self._hook.name,
            id=event.id,
            received_at_ms=received_at_ms,
            payload=event.element.decode(),
        )
        return Deferred(event.id, event.subject.encode(), encode_hook(record))
