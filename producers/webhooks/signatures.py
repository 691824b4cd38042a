"""Whether a webhook comes from whom it says: the schemes of the vendors, over the bytes as they arrived.

Pure: secrets and the time are arguments. Comparisons take constant time, and every secret is tried, so that secrets can
be rotated. A genuine delivery that is older, or from further ahead, than the replay window is STALE.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

WINDOW_MS: Final = 300_000
"""A delivery may be this much older, or newer, than our clock."""
MAX_SIGNATURES: Final = 16
"""Signatures looked at of one header: two during a rotation are usual."""
_DIGITS: Final = re.compile(rb"[0-9]{1,15}")
_DECODED: Final = re.compile(r"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
"""The escapes that HubSpot undoes in the address before it signs."""
Secrets = Sequence[bytes]


class Check(StrEnum):
    """What a signature says of a delivery."""

    GENUINE = "genuine"
    FORGED = "forged"
    STALE = "stale"


def check_stripe(body: bytes, header: bytes | None, secrets: Secrets, now_ms: int) -> Check:
    """`Stripe-Signature: t=<seconds>,v1=<hex>[,v1=...]` over `t.body`."""
    parts = [part.strip().partition(b"=") for part in (header or b"").split(b",")]
    times = [value for name, _, value in parts if name == b"t"]
    sent = [value for name, _, value in parts if name == b"v1"][:MAX_SIGNATURES]
    if len(times) != 1 or not _DIGITS.fullmatch(times[0]):
        return Check.FORGED
    signed = times[0] + b"." + body
    expected = [hmac.digest(secret, signed, "sha256").hex().encode() for secret in secrets]
    return _judge(_meet(expected, sent), int(times[0]) * 1000, now_ms)


def check_standard(
    body: bytes, headers: tuple[bytes | None, bytes | None, bytes | None], secrets: Secrets, now_ms: int
) -> Check:
    """Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64>[ v1,<base64>]` over
    `id.timestamp.body`. Secrets are the bytes behind `whsec_` (`standard_secret`)."""
    identity, time, signatures = headers
    if not identity or not time or not signatures or not _DIGITS.fullmatch(time):
        return Check.FORGED
    signed = identity + b"." + time + b"." + body
    sent = [one.partition(b",")[2] for one in signatures.split() if one.startswith(b"v1,")][:MAX_SIGNATURES]
    expected = [_base64(hmac.digest(secret, signed, "sha256")) for secret in secrets]
    return _judge(_meet(expected, sent), int(time) * 1000, now_ms)


def standard_secret(text: str) -> bytes:
    """The key behind `whsec_<base64>`. Raises ValueError."""
    encoded = text.removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError("must be whsec_ and base64, as Standard Webhooks has it")
    return key


def check_hubspot(
    body: bytes,
    headers: tuple[bytes | None, bytes | None],
    secrets: Secrets,
    now_ms: int,
    *,
    method: str,
    url: str,
) -> Check:
    """v3: `X-HubSpot-Signature-v3` (base64) over method, address, body and `X-HubSpot-Request-Timestamp` (ms)."""
    signature, time = headers
    if not signature or not time or not _DIGITS.fullmatch(time):
        return Check.FORGED
    expected = [
        _base64(hmac.digest(secret, method.encode() + address + body + time, "sha256"))
        for secret in secrets
        for address in _addresses(url)
    ]
    return _judge(_meet(expected, [signature]), int(time), now_ms)


def check_hubspot_legacy(
    body: bytes, headers: tuple[bytes | None, bytes | None], secrets: Secrets, *, method: str, url: str
) -> Check:
    """v1 (secret and body) and v2 (secret, method, address, body): a bare SHA-256 in hex, without a time."""
    signature, version = headers
    if not signature:
        return Check.FORGED
    if version == b"v2":
        signed = [secret + method.encode() + address + body for secret in secrets for address in _addresses(url)]
    else:
        signed = [secret + body for secret in secrets]
    expected = [hashlib.sha256(one).hexdigest().encode() for one in signed]
    return Check.GENUINE if _meet(expected, [signature]) else Check.FORGED


def check_shopify(body: bytes, header: bytes | None, secrets: Secrets) -> Check:
    """`X-Shopify-Hmac-Sha256`: base64 over the body; its time is not signed, so there is no window."""
    expected = [_base64(hmac.digest(secret, body, "sha256")) for secret in secrets]
    return Check.GENUINE if header and _meet(expected, [header]) else Check.FORGED


def check_shared(secrets: Secrets, offered: Iterable[bytes | None]) -> Check:
    """A secret that travels as it is: in the path, the query, Basic, or the body (Bitrix24's token)."""
    return Check.GENUINE if _meet(secrets, [one for one in offered if one]) else Check.FORGED


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


def _addresses(url: str) -> list[bytes]:
    """The address as it was registered and as HubSpot signs it."""
    decoded = _DECODED.sub(lambda found: chr(int(found[1], 16)), url)
    return [url.encode()] if decoded == url else [url.encode(), decoded.encode()]


def _base64(digest: bytes) -> bytes:
    return base64.b64encode(digest)


def _meet(expected: Iterable[bytes], sent: Iterable[bytes]) -> bool:
    """Whether one of the sent is one of the expected; looks at all of them, whatever it finds."""
    candidates = list(sent)
    found = False
    for one in expected:
        for other in candidates:
            found |= hmac.compare_digest(one, other)
    return found


def _judge(is_signed: bool, sent_ms: int, now_ms: int) -> Check:
    if not is_signed:
        return Check.FORGED
    return Check.GENUINE if abs(now_ms - sent_ms) <= WINDOW_MS else Check.STALE
