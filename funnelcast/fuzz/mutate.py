"""From a seed and a number to one request: a recorded request with a few things wrong in it, or noise. Pure.

The same seed, number and samples give the same request, so that a failure can be sent again alone.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Final

from funnelcast.fuzz.json_mutations import odd_bytes, odd_json, odd_pairs
from funnelcast.fuzz.requests import ABORTED, CHUNKED, QUEUED, RAW, SLOW, STALLED, FuzzRequest, Header, Sample

NOISE: Final = "noise"
"""The format of what no client would send."""
Mutator = Callable[[Random, FuzzRequest], FuzzRequest]
_TYPES: Final = (
    b"application/json", b"application/json; charset=utf-16", b"text/plain", b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=x", b"application/cloudevents+json", b"application/cloudevents-batch+json",
    b"application/xml", b"image/gif", b"", b"application/json;" + b"a" * 4000, b"\xff\xfe", b"application/x-ndjson",
)  # fmt: skip
_ENCODINGS: Final = (
    b"gzip",
    b"deflate",
    b"br",
    b"zstd",
    b"identity",
    b"gzip, gzip",
    b"x-gzip",
    b"",
    b"\xff",
    b"a" * 300,
)
_METHODS: Final = (b"GET", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS", b"TRACE", b"PROPFIND", b"POST")
_PATHS: Final = (
    b"/", b"/v1", b"/v1/events", b"/v1/events/", b"/V1/EVENTS", b"//v1/events", b"/v1/../v1/events", b"/v1/%65vents",
    b"/v1/events%00", b"/%2e%2e/%2e%2e/etc/passwd", b"/v1/browser", b"/v1/batch", b"/v1/track", b"/v1/cloudevents",
    b"/pixel.gif", b"/e/", b"/batch", b"/flags", b"/decide/?v=3", b"/i", b"/com.snowplowanalytics.snowplow/tp2",
    b"/com.x", b"/mp/collect", b"/debug/mp/collect", b"/v1/webhooks/", b"/v1/webhooks/nobody",
    b"/v1/webhooks/stripe/x/y", b"/healthz", b"/readyz", b"/funnelcast.js", b"/" + b"a" * 9000,
    b"/v1/projects/" + b"%FF" * 50 + b"/settings", b"/static/../array/x",
)  # fmt: skip
_KEYS: Final = (
    b"", b"WRONG", b"REVOKED_KEY", b"READ_KEY", b"BROWSER_KEY", b"HISTORICAL_KEY", b"\xff" * 20, b"k" * 5000, b"null",
)  # fmt: skip
_HEADERS: Final[tuple[Header, ...]] = (
    (b"origin", b"null"), (b"origin", b"https://shop.example.com"), (b"origin", b"\xff"), (b"referer", b"http://["),
    (b"x-forwarded-for", b"203.0.113.9, ::1, \xff"), (b"x-forwarded-for", b"1" * 3000), (b"forwarded", b"for=_x"),
    (b"cookie", b"a=b; " * 300), (b"content-type", b"application/json"), (b"dnt", b"1"), (b"sec-gpc", b"1"),
    (b"user-agent", b"x" * 4000), (b"expect", b"100-continue"), (b"connection", b"close"),
    (b"connection", b"upgrade"), (b"x-funnelcast-sequence", b"s:1"), (b"x-funnelcast-sequence", b":"),
    (b"x-funnelcast-sequence", b"s:" + b"9" * 30), (b"x-funnelcast-replayed", b"1;x"),
    (b"webhook-request-origin", b"a.example.com"), (b"ce-id", b"%ZZ\xff"), (b"ce-specversion", b"1.0"),
    (b"ce-type", b"click"), (b"ce-source", b""), (b"authorization", b"Basic \xff"),
    (b"authorization", b"Basic OjpXUklURV9LRVk6"), (b"authorization", b"Bearer"), (b"x-write-key", b"WRITE_KEY"),
    (b"accept-encoding", b"*;q=0"), (b"content-encoding", b"gzip"), (b"range", b"bytes=0-1"), (b"te", b"trailers"),
    (b"sp-anonymous", b"*"), (b"x-shopify-topic", b"orders/\xff"), (b"upgrade", b"websocket"), (b"upgrade", b"h2c"),
)  # fmt: skip
_BAD_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-length", b"-1"), (b"content-length", b"5"), (b"content-length", b"999999999"),
    (b"content-length", b"x"), (b"content-length", b"0"), (b"content-length", b"18446744073709551616"),
    (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"gzip, chunked"), (b"transfer-encoding", b"xchunked"),
    (b"host", b"\0"), (b"origin", b"a\r\n b"), (b"origin", b"a\rb"),
    (b"origin", b"a\nb"), (b"access-control-request-headers", b"x\r\n\ty"),
    (b"bad name", b"x"), (b"x\ny", b"z"), (b"x", b"y\r\nz: 1"), (b"x", b"\0"), (b"", b"x"),
    (b"x" * 70_000, b"y"), (b"x", b"y" * 300_000),
)  # fmt: skip
_NOISE: Final = (
    b"", b"\r\n", b"\0" * 50, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /" + b"a" * 100_000,
    b"POST /v1/events HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"CONNECT a.example.com:443 HTTP/1.1\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
    b"GET http://a.example.com/ HTTP/1.1\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x", b"GET * HTTP/1.1\r\n\r\n",
)  # fmt: skip


def request_of(seed: int, number: int, *, samples: Sequence[Sample]) -> FuzzRequest:
    """The `number`-th request of a seed."""
    rng = Random(f"{seed}/{number}")
    if rng.random() < 0.06:
        return _noise(rng, number, samples=samples)
    sample = rng.choice(samples)
    request = FuzzRequest(
        number, sample.format, sample.method, sample.target, sample.headers, sample.body, sample.hook, mutations=()
    )
    if sample.hook is not None and rng.random() < 0.6:
        request = _fresh(rng, request)
    for name in rng.choices(tuple(_MUTATORS), weights=_WEIGHTS, k=rng.choice((0, 1, 1, 1, 2, 3))):
        request = _MUTATORS[name](rng, request)
        request = replace(request, mutations=(*request.mutations, name))
    is_odd_line = len(request.target) > 8_000 or any(one < 33 or one > 126 for one in request.target)
    return replace(
        request,
        is_signed=request.hook is not None and rng.random() < 0.8,
        may_be_no_http=request.may_be_no_http or is_odd_line,
    )


_NUMBER: Final = re.compile(rb"[0-9]{5,}|(?<=1)Test")


def _fresh(rng: Random, request: FuzzRequest) -> FuzzRequest:
    """Another delivery of the same kind: else nearly all would be recognised as sent before."""

    def other(match: re.Match[bytes]) -> bytes:
        return match[0][:-4] + b"%04d" % rng.randrange(10_000)

    headers = tuple(
        (name, b"%d" % rng.getrandbits(60) if name == b"x-shopify-webhook-id" else value)
        for name, value in request.headers
    )
    return replace(request, body=_NUMBER.sub(other, request.body), headers=headers)


def _noise(rng: Random, number: int, *, samples: Sequence[Sample]) -> FuzzRequest:
    body = rng.randbytes(rng.choice((0, 1, 30, 3_000, 60_000)))
    if rng.random() < 0.4:
        raw = rng.choice((*_NOISE, body))
        return FuzzRequest(number, NOISE, b"", b"", (), raw, way=RAW, may_be_no_http=True, mutations=("raw",))
    sample = rng.choice(samples)
    headers = ((b"host", b"127.0.0.1"), (b"x-write-key", b"WRITE_KEY"), (b"content-type", rng.choice(_TYPES[:4])))
    return FuzzRequest(number, NOISE, sample.method, sample.target, headers, body, mutations=("noise body",))


# -- bodies -----------------------------------------------------------------------------------------------------------


def _content(rng: Random, request: FuzzRequest) -> FuzzRequest:
    """Something odd in what is said, wherever the format says it."""
    if not request.body:
        path, sign, query = request.target.partition(b"?")
        return replace(request, target=path + sign + _on_the_wire(odd_pairs(rng, query)))
    is_form = any(name == b"content-type" and b"form" in value for name, value in request.headers)
    odd = odd_pairs if is_form and request.body[:1] not in b"{[" else odd_json
    return replace(request, body=odd(rng, request.body))


def _on_the_wire(query: bytes) -> bytes:
    """A query without what would end the request line."""
    return query.replace(b" ", b"%20").replace(b"\r", b"%0D").replace(b"\n", b"%0A")


def _bytes(rng: Random, request: FuzzRequest) -> FuzzRequest:
    return replace(request, body=odd_bytes(rng, request.body))


def _query(rng: Random, request: FuzzRequest) -> FuzzRequest:
    path, _, query = request.target.partition(b"?")
    return replace(request, target=path + b"?" + _on_the_wire(odd_pairs(rng, query or b"a=b")))


def _splice(rng: Random, request: FuzzRequest) -> FuzzRequest:
    """Lines, arrays and other wholes made of the same thing again."""
    body = request.body
    choices = (
        b"[" + body + b"," + body + b"]",
        body + b"\n" + body,
        b"[" * 3 + body + b"]" * 3,
        b"\xef\xbb\xbf" + body,
        b"\n" + body,
    )
    return replace(request, body=rng.choice(choices))


@lru_cache(maxsize=8)
def _bomb(size: int) -> bytes:
    return gzip.compress(b'{"name":"' + b"a" * size + b'"}', 9, mtime=0)


def _compress(rng: Random, request: FuzzRequest) -> FuzzRequest:
    """Right, wrong, twice, cut off, mixed, and far larger than it looks."""
    packed = rng.choice(_PACKED)(rng, request.body, gzip.compress(request.body, 1, mtime=0))
    return _with(replace(request, body=packed), (b"content-encoding", rng.choice(_ENCODINGS)))


_PACKED: Final[tuple[Callable[[Random, bytes, bytes], bytes], ...]] = (
    lambda rng, body, packed: packed,
    lambda rng, body, packed: zlib.compress(body),
    lambda rng, body, packed: zlib.compress(body)[2:-4],
    lambda rng, body, packed: gzip.compress(packed, 1, mtime=0),
    lambda rng, body, packed: packed[: len(packed) // 2],
    lambda rng, body, packed: packed + packed,
    lambda rng, body, packed: packed + b"rubbish",
    lambda rng, body, packed: odd_bytes(rng, packed),
    lambda rng, body, packed: body,
    lambda rng, body, packed: _bomb(3_000_000),
    lambda rng, body, packed: _bomb(40_000_000),
)


def _huge(rng: Random, request: FuzzRequest) -> FuzzRequest:
    """A body at and beyond the limits."""
    body = request.body or b"{}"
    size = rng.choice((32_769, 200_000, 1_048_576, 1_048_577, 1_500_000))
    grown = rng.choice((body + b" " * size, body * (size // len(body) + 1), b"[" + b"{}," * (size // 3) + b"{}]"))
    return replace(request, body=grown[:1_600_000], may_be_no_http=request.may_be_no_http or len(grown) > 1_048_576)


# -- the rest of the request ------------------------------------------------------------------------------------------


def _with(request: FuzzRequest, header: Header) -> FuzzRequest:
    return replace(request, headers=(*(one for one in request.headers if one[0] != header[0]), header))


def _content_type(rng: Random, request: FuzzRequest) -> FuzzRequest:
    return _with(request, (b"content-type", rng.choice(_TYPES)))


def _headers(rng: Random, request: FuzzRequest) -> FuzzRequest:
    """Some more headers, sometimes over those that are there, sometimes beside them."""
    for header in rng.choices(_HEADERS, k=rng.choice((1, 2, 6))):
        request = _with(request, header) if rng.random() < 0.5 else replace(request, headers=(*request.headers, header))
    is_odd = {b"upgrade", b"expect", b"connection", b"te"} & {name for name, _ in request.headers}
    return replace(request, may_be_no_http=request.may_be_no_http or bool(is_odd))


def _bad_headers(rng: Random, request: FuzzRequest) -> FuzzRequest:
    return replace(request, headers=(*request.headers, rng.choice(_BAD_HEADERS)), may_be_no_http=True)


def _method(rng: Random, request: FuzzRequest) -> FuzzRequest:
    return replace(request, method=rng.choice(_METHODS))


def _path(rng: Random, request: FuzzRequest) -> FuzzRequest:
    _, sign, query = request.target.partition(b"?")
    return replace(request, target=rng.choice(_PATHS) + (sign + query if rng.random() < 0.3 else b""))


def _key(rng: Random, request: FuzzRequest) -> FuzzRequest:
    """Another key where one stood, or one more in a header."""
    key = rng.choice(_KEYS)
    quoted = b"".join(b"%%%02X" % one for one in key) if key[:1] > b"\x7f" else key
    body = request.body.replace(b"WRITE_KEY", key)
    request = replace(request, target=request.target.replace(b"WRITE_KEY", quoted), body=body)
    return _with(request, (b"x-write-key", key)) if rng.random() < 0.5 else request


def _way(rng: Random, request: FuzzRequest) -> FuzzRequest:
    way = rng.choices((CHUNKED, QUEUED, SLOW, ABORTED, STALLED), weights=(500, 200, 100, 200, 3))[0]
    if way == CHUNKED and any(name in (b"content-length", b"transfer-encoding") for name, _ in request.headers):
        return request
    return replace(request, way=way, may_be_no_http=request.may_be_no_http or way in (ABORTED, STALLED))


_MUTATORS: Final[dict[str, Mutator]] = {
    "content": _content,
    "bytes": _bytes,
    "query": _query,
    "splice": _splice,
    "compress": _compress,
    "huge": _huge,
    "content type": _content_type,
    "headers": _headers,
    "bad headers": _bad_headers,
    "method": _method,
    "path": _path,
    "key": _key,
    "way": _way,
}
_WEIGHTS: Final = (40, 14, 4, 4, 6, 1, 5, 8, 3, 3, 4, 5, 3)
