"""From the bytes of a request to the events in it: decompression with a bound, and one event, an array or NDJSON.

Pure. What cannot be split at all is a `RequestError`, which is the answer to the whole request; a single line that is
no JSON stays a line, and is rejected alone.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from schemas.reasons import RejectReason

GZIP: Final = b"\x1f\x8b"
"""How a body begins that is compressed, whatever its header says."""
_NEWLINE: Final = ord("\n")
_BOM: Final = b"\xef\xbb\xbf"
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_anything = msgspec.json.Decoder(msgspec.Raw)


class RequestError(ValueError):
    """The request as a whole is refused; `reason` is the code of the answer."""

    def __init__(self, reason: RejectReason, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.detail = detail
        self.source: str | None = None
        """Whose request it is, where that is known although nothing of it is taken."""
        self.payload: bytes | None = None
        """What the dead letter is to hold, where that is not the body."""


class NoRoomError(Exception):
    """The request cannot be taken in now; the same a moment later may be."""


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body in clear, at most `limit` bytes. gzip is recognised by its first bytes, whatever the header says."""
    encoding = encoding.strip().lower()
    if body[:2] == GZIP:
        return _inflate(body, 31, limit)
    if encoding == "deflate":
        return _inflate(body, 15 if body[:1] == b"\x78" else -15, limit)
    if encoding in ("", "identity", "gzip", "x-gzip"):  # some proxies inflate and leave the header
        return body
    raise RequestError(
        RejectReason.BAD_ENCODING, f"Content-Encoding {encoding[:32]!r} is not supported", "send gzip or plain JSON"
    )


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    inflated = b""
    try:
        while body:
            inflater = zlib.decompressobj(window)
            inflated += inflater.decompress(body, limit + 1 - len(inflated))
            if len(inflated) > limit:
                raise too_large(limit, "after decompression")
            if not inflater.eof:
                raise RequestError(RejectReason.BAD_ENCODING, "the compressed body is cut off")
            body = inflater.unused_data if inflater.unused_data[:2] == GZIP else b""
    except zlib.error as error:
        raise RequestError(RejectReason.BAD_ENCODING, "the compressed body is broken", str(error)) from None
    return inflated


def too_large(limit: int, where: str = "as sent") -> RequestError:
    """The refusal of a body beyond the limit."""
    return RequestError(
        RejectReason.BODY_TOO_LARGE, "the body is too large", f"at most {limit} bytes {where}; send smaller batches"
    )


def split_events(body: bytes, limit: int) -> list[bytes]:
    """The events of a native body, each as it was sent: one object, an array, or one JSON value a line."""
    body = body.removeprefix(_BOM).strip()
    if body[:1] == b"[":
        return split_array(body, limit)
    if not body:
        raise RequestError(RejectReason.MALFORMED_JSON, "the body is empty", "send one event, an array, or NDJSON")
    if _NEWLINE not in body or _is_one_value(body):
        if body[:1] != b"{":
            raise RequestError(RejectReason.MALFORMED_JSON, "the body is neither an event nor an array of events")
        if not _is_one_value(body):
            raise malformed(body)
        return [body]
    return _lines(body, limit)


def split_array(body: bytes, limit: int) -> list[bytes]:
    """The elements of a JSON array, each as it was sent."""
    try:
        elements = _elements.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise malformed(body) from None
    if len(elements) > limit:
        raise too_many(len(elements), limit)
    return list(map(bytes, elements))


def _lines(body: bytes, limit: int) -> list[bytes]:
    lines = [line for line in (one.strip() for one in body.split(b"\n")) if line]
    if len(lines) > limit:
        raise too_many(len(lines), limit)
    if not any(_is_one_value(line) for line in lines):
        raise malformed(body)
    return lines


def too_many(count: int, limit: int) -> RequestError:
    """The refusal of a request with more events than the limit."""
    return RequestError(
        RejectReason.TOO_MANY_EVENTS, "too many events in one request", f"{count}; send at most {limit} at a time"
    )


def _is_one_value(text: bytes) -> bool:
    try:
        _anything.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def malformed(body: bytes) -> RequestError:
    """The refusal of a body that is no JSON, with the parser's own words."""
    try:
        _anything.decode(body)
        why = "not an array of events"
    except (msgspec.DecodeError, RecursionError) as error:
        why = str(error)
    return RequestError(RejectReason.MALFORMED_JSON, "the body is not valid JSON", why)
