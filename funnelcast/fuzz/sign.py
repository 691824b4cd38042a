"""Signs a request as the vendor of its webhook would, with the secret of the fuzzer's own file of webhooks."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from funnelcast.fuzz.requests import FuzzRequest, Header
from producers.webhooks.generic import standard_secret


def signed(request: FuzzRequest, now_ms: int) -> FuzzRequest:
    """The request with a signature over what it holds now; as it is where its vendor signs nothing."""
    hook = request.hook
    if hook is None or hook["provider"] not in _SIGNERS:
        return request
    new = _SIGNERS[hook["provider"]](request, hook, now_ms)
    names = {name for name, _ in new}
    return replace(request, headers=(*(one for one in request.headers if one[0] not in names), *new))


def _secret(hook: Mapping[str, Any]) -> bytes:
    return str(hook["secrets"][0]).encode()


def _digest(key: bytes, text: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, text, "sha256"))


def _stripe(request: FuzzRequest, hook: Mapping[str, Any], now_ms: int) -> list[Header]:
    time = b"%d" % (now_ms // 1000)
    signature = hmac.digest(_secret(hook), time + b"." + request.body, "sha256").hex().encode()
    return [(b"stripe-signature", b"t=" + time + b",v1=" + signature)]


def _standard(request: FuzzRequest, hook: Mapping[str, Any], now_ms: int) -> list[Header]:
    identity, time = b"msg_%d" % (request.number // 2), b"%d" % (now_ms // 1000)  # every delivery twice
    key = standard_secret(hook["secrets"][0])
    signature = b"v1," + _digest(key, identity + b"." + time + b"." + request.body)
    return [(b"webhook-id", identity), (b"webhook-timestamp", time), (b"webhook-signature", signature)]


def _hubspot(request: FuzzRequest, hook: Mapping[str, Any], now_ms: int) -> list[Header]:
    time = b"%d" % now_ms
    text = request.method + str(hook["public_url"]).encode() + request.body + time
    return [(b"x-hubspot-signature-v3", _digest(_secret(hook), text)), (b"x-hubspot-request-timestamp", time)]


def _shopify(request: FuzzRequest, hook: Mapping[str, Any], now_ms: int) -> list[Header]:  # noqa: ARG001 - signs no time
    return [(b"x-shopify-hmac-sha256", _digest(_secret(hook), request.body))]


_SIGNERS: Final[dict[str, Callable[[FuzzRequest, Mapping[str, Any], int], list[Header]]]] = {
    "stripe": _stripe,
    "generic": _standard,
    "hubspot": _hubspot,
    "shopify": _shopify,
}
