"""From what a webhook tells to the event, by the hook's stage map and the collector's checks. Pure.

Collector and enricher use the same mapper, so that a hook becomes the same event on either way.
"""

from __future__ import annotations

from functools import lru_cache

from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Rejected, Scope, Sender, Translated, Verdict
from producers.webhooks.config import Hook
from producers.webhooks.told import Told
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

    def verdict(self, told: Told, received_at_ms: int) -> Verdict:
        """The event, or why not. Never raises."""
        is_known, name = self._event_of(told.keys)
        if told.is_stage and not is_known:
            is_known, name = self.hook.event_of(("*",))
            if not is_known:
                return self._unknown_stage(told)
        is_left_to_others = told.needs_person and not self.hook.anonymous_payments and not _says_who(told)
        if name is None or is_left_to_others:
            name = self._kept_name(told, is_known)
        return self._checked(told, name, received_at_ms)

    def _unknown_stage(self, told: Told) -> Rejected:
        stage = told.keys[0] if told.keys else ""
        return Rejected(
            RejectReason.UNKNOWN_STAGE,
            f"the stage {stage[:64]!r} has no event; add it to `stages` of the hook {self.hook.name!r}, "
            f"e.g. stages: {{{told.keys[-1][:64]!r}: offer_sent}}, or null for a stage of no step of a funnel",
            told.id or None,
        )

    def _kept_name(self, told: Told, is_known: bool) -> str:
        """What nobody maps keeps the vendor's name. A generic sender's names are event names as they stand."""
        if self.hook.provider == "generic" and not is_known:
            return told.type
        return normalise_name(f"{self.hook.provider}_{told.type}".replace(".", "_"))

    def _checked(self, told: Told, name: str, received_at_ms: int) -> Verdict:
        """Who it is: the ids, else the e-mail or phone, else the vendor's own name of the person."""
        event = Translated(
            id=told.id or None,
            name=name or None,
            anonymous_id=told.anonymous_id,
            user_id=told.user_id,
            email=told.email,
            phone=told.phone,
            client_ms=told.occurred_ms,
            is_time_unreadable=told.is_time_unreadable,
            properties=self._with_manager(told),
        )
        if not _says_who(told):
            event.contact_id = told.subject
        verdict = self._ingest.translated(event, sender=self.sender, received_at_ms=received_at_ms)
        if isinstance(verdict, Rejected) and verdict.reason is RejectReason.MISSING_PERSON:
            event.contact_id = told.subject  # what looked like an e-mail or a phone is none
            verdict = self._ingest.translated(event, sender=self.sender, received_at_ms=received_at_ms)
        return verdict

    def _with_manager(self, told: Told) -> dict[str, object]:
        """The name of the manager where the hook's file gives one for the number."""
        manager = told.properties.get("manager")
        if isinstance(manager, str) and manager in self.hook.managers:
            return {**told.properties, "manager": self.hook.managers[manager]}
        return told.properties


def _says_who(told: Told) -> bool:
    ids = (told.user_id, told.anonymous_id, told.email, told.phone)
    return any(clean_id(one) for one in ids)
