"""From a webhook event to an event, by the hook's stage map and the collector's checks. Pure.

Collector and enricher use the same mapper, so that both make the same event of a webhook.
"""

from __future__ import annotations

from functools import lru_cache

from producers.ingest.checks import Ingest
from producers.ingest.event import Event
from producers.ingest.verdicts import Rejected, Scope, Sender, Verdict
from producers.webhooks.config import Hook
from producers.webhooks.delivery import WebhookEvent
from schemas.ids import clean_id
from schemas.names import normalise_name
from schemas.reasons import RejectReason


class Mapper:
    """Events of one hook."""

    def __init__(self, hook: Hook, ingest: Ingest) -> None:
        self.hook = hook
        self.sender = Sender(hook.sent_as, Scope.SERVER, f"webhook:{hook.name}")
        self._ingest = ingest
        self._event_of = lru_cache(maxsize=4096)(hook.event_of)

    def verdict(self, sent: WebhookEvent, received_at_ms: int) -> Verdict:
        """The event, or why not. Never raises."""
        if sent.test_mark is not None and not self.hook.test:
            return self._not_real(sent, sent.test_mark)
        is_known, name = self._event_of(sent.keys)
        if sent.is_stage and not is_known:
            is_known, name = self.hook.event_of(("*",))
            if not is_known:
                return self._unknown_stage(sent)
        is_left_to_others = sent.needs_person and not self.hook.anonymous_payments and not _says_who(sent)
        if name is None or is_left_to_others:
            name = self._kept_name(sent, is_known)
        return self._checked(sent, name, received_at_ms=received_at_ms)

    def _not_real(self, sent: WebhookEvent, mark: str) -> Rejected:
        return Rejected(
            RejectReason.TEST_EVENT,
            f"{mark}: not real, and kept apart; `test: true` in the hook {self.hook.name!r} takes such events",
            sent.id or None,
        )

    def _unknown_stage(self, sent: WebhookEvent) -> Rejected:
        stage = sent.keys[0] if sent.keys else ""
        return Rejected(
            RejectReason.UNKNOWN_STAGE,
            f"the stage {stage[:64]!r} has no event; add it to `stages` of the hook {self.hook.name!r}, "
            f"e.g. stages: {{{sent.keys[-1][:64]!r}: offer_sent}}, or null for a stage of no step of a funnel",
            sent.id or None,
        )

    def _kept_name(self, sent: WebhookEvent, is_known: bool) -> str:
        """What the map does not have keeps the vendor's name."""
        if self.hook.vendor.keeps_names and not is_known:
            return sent.type
        return normalise_name(f"{self.hook.provider}_{sent.type}".replace(".", "_"))

    def _checked(self, sent: WebhookEvent, name: str, *, received_at_ms: int) -> Verdict:
        """The person: the ids, else the e-mail or phone, else the vendor's own name of the person; and the vendor's
        name of the deal or order, as an id that belongs to that person."""
        event = Event(
            id=sent.id or None,
            name=name or None,
            anonymous_id=sent.anonymous_id or sent.thing,
            user_id=sent.user_id,
            email=sent.email,
            phone=sent.phone,
            client_ms=sent.occurred_ms,
            is_time_unreadable=sent.is_time_unreadable,
            properties=self._with_manager(sent),
            context=sent.context,
        )
        if not _says_who(sent) and sent.subject != sent.thing:
            event.contact_id = sent.subject
        verdict = self._ingest.checked(event, sender=self.sender, received_at_ms=received_at_ms)
        if isinstance(verdict, Rejected) and verdict.reason is RejectReason.MISSING_PERSON:
            event.contact_id = sent.subject  # what looked like an e-mail or a phone is none
            verdict = self._ingest.checked(event, sender=self.sender, received_at_ms=received_at_ms)
        return verdict

    def _with_manager(self, sent: WebhookEvent) -> dict[str, object]:
        """The name of the manager where the hook's file gives one for the number."""
        manager = sent.properties.get("manager")
        if isinstance(manager, str) and manager in self.hook.managers:
            return {**sent.properties, "manager": self.hook.managers[manager]}
        return sent.properties


def _says_who(sent: WebhookEvent) -> bool:
    return any(map(clean_id, (sent.user_id, sent.anonymous_id, sent.email, sent.phone)))
