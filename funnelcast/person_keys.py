"""From an id as somebody types it to person keys: by name space, by prefix, or as the e-mail that it is."""

from __future__ import annotations

import contextlib

from funnelcast.contacts import existing_contact_key
from funnelcast.settings import SettingsError
from funnelcast.settings.sections import ContactKeySettings
from producers.ingest.contacts import Contacts
from schemas.ids import clean_id, person_key

_SPACES = {"user": "u", "contact": "c", "anonymous": "a", "u": "u", "c": "c", "a": "a"}


def contact_key(
    settings: ContactKeySettings, *, phone_region: str | None, email: str | None, phone: str | None
) -> bytes:
    """The person key of an e-mail or phone, as the collector makes it. ValueError where it is none."""
    contacts = Contacts(existing_contact_key(settings), phone_region=phone_region)
    contact = contacts.of_email(email) if email is not None else contacts.of_phone(phone or "")
    key = person_key(None, contact, None)
    if key is None:
        raise ValueError("not an e-mail address or phone number (a phone needs its country code)")
    return key


def candidates(settings: ContactKeySettings, text: str) -> list[bytes]:
    """Keys that an id may mean: `user:4711`, `contact:...`, `anonymous:...` (or u:, c:, a:) one, any other text all
    three, and an e-mail its contact too. ValueError for a placeholder."""
    space, colon, bare = text.partition(":")
    cleaned = clean_id(bare if colon and space in _SPACES else text)
    if cleaned is None:
        raise ValueError(f"{text!r} is a placeholder, not the id of a person")
    if colon and space in _SPACES:
        return [f"{_SPACES[space]}:{cleaned}".encode()]
    keys = [f"{one}:{cleaned}".encode() for one in "uca"]
    if "@" in text:
        with contextlib.suppress(SettingsError, ValueError):  # no key here, or no e-mail: it is looked for as an id
            keys.insert(0, contact_key(settings, phone_region=None, email=text, phone=None))
    return keys
