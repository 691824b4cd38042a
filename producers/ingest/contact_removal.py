"""E-mails and phones of an event: hashed to a contact id, and taken out of what is stored. Pure.

They may stand beside the event, among its properties, in its context or in the traits there.
"""

from __future__ import annotations

import msgspec
import orjson

from producers.ingest.contacts import Contacts
from producers.ingest.event import Event, Members, NativeEvent
from producers.ingest.limits import Limits
from producers.ingest.objects import context_contacts, without_contacts
from producers.ingest.text import too_large
from producers.ingest.verdicts import RefusedError
from schemas.reasons import RejectReason

Stored = msgspec.Raw | Members
"""An object as it was sent, or as values."""


class ContactRemoval:
    """Of one installation. Without `contacts` there is no key to hash with, and no contact id."""

    def __init__(self, contacts: Contacts | None, limits: Limits, *, keep: bool) -> None:
        self._contacts = contacts
        self._limits = limits
        self._keep = keep
        """They stay where they stand, beside the contact id."""

    def taken_out(
        self, event: Event | NativeEvent, properties: Stored, context: Stored | None
    ) -> tuple[str | None, msgspec.Raw, msgspec.Raw | None]:
        """(the contact id of the e-mail or phone, properties and context without them)."""
        keep, email, phone = self._keep, event.email, text_of(event.phone)
        stored, email_there, phone_there = without_contacts(self._as_json("properties", properties), keep=keep)
        email, phone = email or email_there, phone or phone_there
        about = None
        if context is not None:
            about, email_there, phone_there = context_contacts(self._as_json("context", context), keep=keep)
            email, phone = email or email_there, phone or phone_there
        return self.id_of(email, phone), stored, about

    def id_of(self, email: str | None, phone: str | None) -> str | None:
        """The contact id; None without a key, or where neither is what it is called."""
        if self._contacts is None:
            return None
        return (self._contacts.of_email(email) if email else None) or (
            self._contacts.of_phone(phone) if phone else None
        )

    def _as_json(self, member: str, value: Stored) -> msgspec.Raw:
        if not isinstance(value, dict):
            return value
        try:
            encoded = orjson.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise RefusedError(RejectReason.WRONG_TYPE, f"{member}: {error}") from None
        if len(encoded) > self._limits.event_bytes:
            raise too_large(len(encoded), self._limits)
        return msgspec.Raw(encoded)


def text_of(value: str | int | None) -> str | None:
    """A phone, which some send as a number."""
    return None if value is None else str(value)
