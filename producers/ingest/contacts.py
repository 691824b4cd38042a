"""Contact ids from e-mails and phone numbers: a keyed hash over the normalised value. Keeps no plain value."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from schemas.text import composed


class Contacts:
    """HMAC-SHA256 with the installation's key: the same address gives the same contact id on every source, and without
    the key it cannot be tested whether an address is among them."""

    def __init__(self, key: bytes, *, phone_region: str | None = None) -> None:
        if not key:
            raise ValueError("the contact key is empty; set FUNNELCAST_CONTACT_KEY to a long random text")
        self._key = key
        self._region = phone_region
        self._hash = lru_cache(maxsize=16_384)(self._hashed)

    def of_email(self, email: str) -> str | None:
        """Contact id of an e-mail, None where the text is no e-mail."""
        normalised = normalise_email(email)
        return self._hash(normalised) if normalised else None

    def of_phone(self, phone: str) -> str | None:
        """Contact id of a phone number, None where the text is no phone number."""
        normalised = normalise_phone(phone, self._region)
        return self._hash(normalised) if normalised else None

    def _hashed(self, normalised: str) -> str:
        return hmac.new(self._key, normalised.encode(), hashlib.sha256).hexdigest()


def normalise_email(text: str) -> str | None:
    """Trimmed, in lower case; None unless it has one @ with something on both sides and no space within."""
    email = composed(text.strip().lower())
    name, _, domain = email.partition("@")
    if not name or not domain or "@" in domain or len(email) > 254 or email.split() != [email]:
        return None
    return email


@lru_cache(maxsize=16_384)
def normalise_phone(text: str, region: str | None = None) -> str | None:
    """E.164; None where it is no possible number. Without `region` only numbers with a country code are numbers."""
    import phonenumbers  # its tables take a tenth of a second: only installations with phones pay

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
