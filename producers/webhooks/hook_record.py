"""The value of a record in the `hooks` topic: a hook on its way to the enricher. JSON, written by the collector."""

from __future__ import annotations

import msgspec


class HookRecord(msgspec.Struct, kw_only=True):
    """One event of a delivery, as it stood there."""

    hook: str
    """Its name in the file of webhooks."""
    id: str
    received_at_ms: int
    payload: str
    """Can be read as a delivery of this event alone."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(HookRecord)


def encode_hook(record: HookRecord) -> bytes:
    """JSON bytes of a record."""
    return _encoder.encode(record)


def decode_hook(value: bytes) -> HookRecord:
    """The record. Raises ValueError (msgspec's errors are such) where the value is no record."""
    return _decoder.decode(value)
