"""Dead letters: what was refused, why, and enough of it to send it again. Encodes, sends nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec

from producers.dead_letters.redact import redact
from schemas.reasons import RejectReason


class DeadLetter(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The value of a record in the `rejected` topic. `payload` is text where it was UTF-8, else `payload_base64`."""

    reason: str
    detail: str
    source: str
    route: str
    received_at_ms: int
    size: int = msgspec.field(name="bytes")
    """Bytes of what was sent; more than the payload holds when it was cut."""
    payload: str | None = None
    payload_base64: str | None = None
    is_cut: bool = False
    headers: dict[str, str] | None = None
    """Those without which the request could not be read again."""

    def sent(self) -> bytes:
        """The payload as bytes."""
        if self.payload_base64 is not None:
            return base64.b64decode(self.payload_base64)
        return (self.payload or "").encode()


_encoder = msgspec.json.Encoder()


def encode_dead_letter(
    *,
    reason: RejectReason,
    detail: str,
    source: str,
    route: str,
    received_at_ms: int,
    payload: bytes,
    keep_bytes: int,
    headers: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """JSON bytes of a dead letter."""
    redacted = redact(payload[:keep_bytes])
    dead_letter = DeadLetter(
        reason=reason.value,
        detail=detail[:1000],
        source=source,
        route=route,
        received_at_ms=received_at_ms,
        size=len(payload),
        is_cut=keep_bytes < len(payload),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        if headers
        else None,
    )
    try:
        dead_letter.payload = redacted.decode()
    except UnicodeDecodeError:
        dead_letter.payload_base64 = base64.b64encode(redacted).decode()
    return _encoder.encode(dead_letter)
