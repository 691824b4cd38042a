"""Signs a shot as the vendor of its webhook would, with the secret of the fuzzer's own file of webhooks."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from funnelcast.fuzz.requests import Header, Shot
from producers.webhooks.generic import standard_secret


def signed(shot: Shot, now_ms: int) -> Shot:
    """The shot with a signature over what it holds now; as it is where its vendor signs nothing."""
    hook = shot.hook
    if hook is None or hook["provider"] not in _SIGNERS:
        return shot
    new = _SIGNERS[hook["provider"]](shot, hook, now_ms)
    names = {name for name, _ in new}
    return replace(shot, headers=(*(one for one in shot.headers if one[0] not in names), *new))


def _secret(hook: Mapping[str, Any]) -> bytes:
    return str(hook["secrets"][0]).encode()


def _digest(key: bytes, text: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, text, "sha256"))


def _stripe(shot: Shot, hook: Mapping[str, Any], now_ms: int) -> list[Header]:
    time = b"%d" % (now_ms // 1000)
    signature = hmac.digest(_secret(hook), time + b"." + shot.body, "sha256").hex().encode()
    return [(b"stripe-signature", b"t=" + time + b",v1=" + signature)]


def _standard(shot: Shot, hook: Mapping[str, Any], now_ms: int) -> list[Header]:
    identity, time = b"msg_%d" % (shot.number // 2), b"%d" % (now_ms // 1000)  # every delivery twice
    key = standard_secret(hook["secrets"][0])
    signature = b"v1," + _digest(key, identity + b"." + time + b"." + shot.body)
    return [(b"webhook-id", identity), (b"webhook-timestamp", time), (b"webhook-signature", signature)]


def _hubspot(shot: Shot, hook: Mapping[str, Any], now_ms: int) -> list[Header]:
    time = b"%d" % now_ms
    text = shot.method + str(hook["public_url"]).encode() + shot.body + time
    return [(b"x-hubspot-signature-v3", _digest(_secret(hook), text)), (b"x-hubspot-request-timestamp", time)]


def _shopify(shot: Shot, hook: Mapping[str, Any], now_ms: int) -> list[Header]:  # noqa: ARG001 - signs no time
    return [(b"x-shopify-hmac-sha256", _digest(_secret(hook), shot.body))]


_SIGNERS: Final[dict[str, Callable[[Shot, Mapping[str, Any], int], list[Header]]]] = {
    "stripe": _stripe,
    "generic": _standard,
    "hubspot": _hubspot,
    "shopify": _shopify,
}
