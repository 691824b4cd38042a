"""What the vendors' signatures have in common: secrets, comparing in constant time, the replay window.

Pure: secrets and the time are arguments. Every secret is tried, so that secrets can be rotated. A genuine delivery that
is older, or from further ahead, than the replay window is STALE. A vendor's own scheme is in the vendor's file.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

WINDOW_MS: Final = 300_000
"""A delivery may be this much older, or newer, than our clock."""
MAX_SIGNATURES: Final = 16
"""Signatures read from one header; two are usual during a rotation."""
_DIGITS: Final = re.compile(rb"[0-9]{1,15}")
Secrets = Sequence[bytes]


class Check(StrEnum):
    """What a signature proves about a delivery."""

    GENUINE = "genuine"
    FORGED = "forged"
    STALE = "stale"


def check_shared(secrets: Secrets, offered: Iterable[bytes | None]) -> Check:
    """A secret that travels as it is: in the path, the query, Basic, or the body."""
    return verdict(is_any_equal(secrets, [secret for secret in offered if secret]))


def basic_of(authorization: bytes | None) -> tuple[bytes | None, bytes | None]:
    """(`user:password`, password) of an Authorization header; Nones where there is none."""
    scheme, _, encoded = (authorization or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None, None
    try:
        pair = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        return None, None
    return pair, pair.partition(b":")[2]


def sha256_base64(secret: bytes, signed: bytes) -> bytes:
    """HMAC-SHA256 in base64."""
    return base64.b64encode(hmac.digest(secret, signed, "sha256"))


def sha256_hex(secret: bytes, signed: bytes) -> bytes:
    """HMAC-SHA256 in hex."""
    return hmac.digest(secret, signed, "sha256").hex().encode()


def is_number(text: bytes | None) -> bool:
    """Whether a header is a time in digits."""
    return text is not None and _DIGITS.fullmatch(text) is not None


def is_any_equal(expected: Iterable[bytes], sent: Iterable[bytes]) -> bool:
    """Whether one of the sent is one of the expected; compares all of them, whatever the result."""
    candidates = list(sent)
    is_equal = False
    for signature in expected:
        for candidate in candidates:
            is_equal |= hmac.compare_digest(signature, candidate)
    return is_equal


def verdict(is_signed: bool, sent_ms: int | None = None, *, now_ms: int = 0) -> Check:
    """The check of a signature; `sent_ms` is the signed time, None where the vendor signs no time."""
    if not is_signed:
        return Check.FORGED
    return Check.GENUINE if sent_ms is None or abs(now_ms - sent_ms) <= WINDOW_MS else Check.STALE
