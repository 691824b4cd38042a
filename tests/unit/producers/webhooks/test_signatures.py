"""Signatures of webhooks: what the vendors' own libraries sign is genuine, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime

import pytest
from hubspot.exceptions import InvalidSignatureTimestampError
from hubspot.utils.signature import Signature
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from stripe import SignatureVerificationError, WebhookSignature

from producers.formats.port import Request
from producers.webhooks.generic import GENERIC, standard_secret
from producers.webhooks.hubspot import HUBSPOT
from producers.webhooks.provider import Credentials, Provider
from producers.webhooks.shopify import SHOPIFY
from producers.webhooks.signatures import WINDOW_MS, Check, Secrets, basic_of, check_shared
from producers.webhooks.stripe import STRIPE
from tests.support.rows import rows

NOW_MS = 1_735_725_600_000
NOW = NOW_MS // 1000
BODY = '{"id":"evt_1","text":"später 1.0"}'
RAW = BODY.encode()
SECRETS = (b"old-secret", b"whsec_secret")
URL = "https://collect.example.com/v1/webhooks/hubspot"
Pair = tuple[bytes | None, bytes | None]
texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=200)


def check(
    provider: Provider,
    body: bytes,
    headers: dict[bytes, bytes | None],
    credentials: Credentials,
    *,
    now_ms: int = NOW_MS,
    method: str = "POST",
) -> Check:
    """What the vendor's value says of a request."""
    sent = {name: value for name, value in headers.items() if value is not None}
    request = Request(method, "/v1/webhooks/h", sent, b"", raw_body=body, received_at_ms=now_ms)
    return provider.check(request, credentials)


def check_stripe(body: bytes, header: bytes | None, secrets: Secrets, now_ms: int) -> Check:
    return check(STRIPE, body, {b"stripe-signature": header}, Credentials("", secrets), now_ms=now_ms)


def check_shopify(body: bytes, header: bytes | None, secrets: Secrets) -> Check:
    return check(SHOPIFY, body, {b"x-shopify-hmac-sha256": header}, Credentials("", secrets))


def check_standard(
    body: bytes, sent: tuple[bytes | None, bytes | None, bytes | None], secrets: Secrets, now_ms: int
) -> Check:
    names = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
    return check(GENERIC, body, dict(zip(names, sent, strict=True)), Credentials("", secrets), now_ms=now_ms)


def check_hubspot(body: bytes, sent: Pair, secrets: Secrets, now_ms: int, *, method: str, url: str) -> Check:
    names = (b"x-hubspot-signature-v3", b"x-hubspot-request-timestamp")
    credentials = Credentials("", secrets, public_url=url)
    return check(HUBSPOT, body, dict(zip(names, sent, strict=True)), credentials, now_ms=now_ms, method=method)


def check_hubspot_legacy(body: bytes, sent: Pair, secrets: Secrets, *, method: str, url: str) -> Check:
    names = (b"x-hubspot-signature", b"x-hubspot-signature-version")
    credentials = Credentials("", secrets, public_url=url, takes_legacy=True)
    return check(HUBSPOT, body, dict(zip(names, sent, strict=True)), credentials, method=method)


@given(texts, st.text(alphabet=st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=60))
def test_what_stripes_library_signs_is_genuine(body: str, secret: str) -> None:
    header = WebhookSignature.generate_signature_header(body, secret, NOW)
    assert check_stripe(body.encode(), header.encode(), [b"other", secret.encode()], NOW_MS) is Check.GENUINE


def test_stripes_library_and_ours_agree_on_headers_of_every_kind() -> None:
    now = int(time.time())
    good = WebhookSignature.generate_signature_header(BODY, "whsec_secret", now)
    digest = good.partition("v1=")[2]
    headers = [
        good,
        f"{good},v1=00",
        f"v1=00,{good}",
        f"t={now},v0={digest}",
        f"v1={digest}",
        f"t=x,v1={digest}",
        "t",
        "",
    ]
    for header in [*headers, good.replace(f"t={now}", f"t={now - 1}"), good.upper()]:
        try:
            WebhookSignature.verify_header(BODY, header, "whsec_secret", tolerance=300)
            theirs = Check.GENUINE
        except SignatureVerificationError:
            theirs = Check.FORGED
        assert check_stripe(RAW, header.encode(), [b"whsec_secret"], now * 1000) is theirs, header


@rows(
    ("seconds", "expected"),
    [(-301, Check.STALE), (-300, Check.GENUINE), (0, Check.GENUINE), (300, Check.GENUINE), (301, Check.STALE)],
)
def test_the_window_is_five_minutes_both_ways(seconds: int, expected: Check) -> None:
    assert WINDOW_MS == 300_000
    at = NOW + seconds
    stripe = WebhookSignature.generate_signature_header(BODY, "whsec_secret", at).encode()
    assert check_stripe(RAW, stripe, SECRETS, NOW_MS) is expected
    key = b"k" * 24
    signature = Webhook(key).sign("m", datetime.fromtimestamp(at, UTC), BODY).encode()
    assert check_standard(RAW, (b"m", str(at).encode(), signature), [key], NOW_MS) is expected
    stamp = str(at * 1000)
    hubspot = Signature.get_signature("whsec_secret", BODY, "v3", URL, "POST", stamp).encode()
    assert check_hubspot(RAW, (hubspot, stamp.encode()), SECRETS, NOW_MS, method="POST", url=URL) is expected


def test_a_forged_delivery_is_forged_however_old_it_is() -> None:
    assert check_stripe(RAW, b"t=1,v1=00", SECRETS, NOW_MS) is Check.FORGED


@given(texts, st.binary(min_size=1, max_size=48))
def test_what_the_standard_library_signs_is_genuine(body: str, key: bytes) -> None:
    secret = "whsec_" + base64.b64encode(key).decode().rstrip("=")
    signature = Webhook(secret).sign("msg_1", datetime.fromtimestamp(NOW, UTC), body).encode()
    headers = (b"msg_1", str(NOW).encode(), b"v1a,xx v1,AAAA " + signature)
    assert check_standard(body.encode(), headers, [standard_secret(secret)], NOW_MS) is Check.GENUINE


def test_the_standard_library_takes_what_ours_takes_and_refuses_what_ours_refuses() -> None:
    key, now = b"k" * 24, int(time.time())
    good = Webhook(key).sign("m", datetime.fromtimestamp(now, UTC), BODY)
    for body, signature in ((BODY, good), (BODY + " ", good), (BODY, good[:-4] + "AAA="), (BODY, "v2," + good[3:])):
        headers = {"webhook-id": "m", "webhook-timestamp": str(now), "webhook-signature": signature}
        try:
            Webhook(key).verify(body, headers, json_parse=False)
            theirs = Check.GENUINE
        except WebhookVerificationError:
            theirs = Check.FORGED
        sent = (b"m", str(now).encode(), signature.encode())
        assert check_standard(body.encode(), sent, [key], now * 1000) is theirs


@rows("secret", ["whsec_", "", "whsec_%%%", "not base64!"])
def test_a_secret_that_is_no_base64_is_told(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        standard_secret(secret)


@given(texts)
def test_hubspots_library_and_ours_sign_alike(body: str) -> None:
    stamp = str(NOW_MS)
    raw, keys = body.encode(), [b"x", b"client-secret"]
    v3 = Signature.get_signature("client-secret", body, "v3", URL, "POST", stamp).encode()
    assert check_hubspot(raw, (v3, stamp.encode()), keys, NOW_MS, method="POST", url=URL) is Check.GENUINE
    for version in ("v1", "v2"):
        old = Signature.get_signature("client-secret", body, version, URL, "POST").encode()
        sent = (old, version.encode())
        assert check_hubspot_legacy(raw, sent, keys, method="POST", url=URL) is Check.GENUINE
        assert check_hubspot_legacy(raw + b"x", sent, keys, method="POST", url=URL) is Check.FORGED


def test_hubspots_library_takes_what_ours_takes() -> None:
    stamp = str(int(time.time() * 1000))
    ours = hmac.digest(b"client-secret", f"POST{URL}{BODY}{stamp}".encode(), "sha256")
    signature = base64.b64encode(ours).decode()
    assert Signature.is_valid(signature, "client-secret", BODY, URL, "POST", "v3", stamp)
    with pytest.raises(InvalidSignatureTimestampError):
        Signature.is_valid(signature, "client-secret", BODY, URL, "POST", "v3", str(int(stamp) - 302_000))


def test_hubspot_signs_an_address_with_its_escapes_undone() -> None:
    url, signed = f"{URL}?to=a%40b%2Cc%20d", f"{URL}?to=a@b,c%20d"
    stamp = str(NOW_MS)
    signature = Signature.get_signature("s", BODY, "v3", signed, "POST", stamp).encode()
    assert check_hubspot(RAW, (signature, stamp.encode()), [b"s"], NOW_MS, method="POST", url=url) is Check.GENUINE
    assert check_hubspot(RAW, (signature, stamp.encode()), [b"s"], NOW_MS, method="PUT", url=url) is Check.FORGED


def test_shopify_signs_the_body() -> None:
    signature = base64.b64encode(hmac.new(SECRETS[0], RAW, hashlib.sha256).digest())
    assert check_shopify(RAW, signature, SECRETS) is Check.GENUINE
    assert check_shopify(RAW + b" ", signature, SECRETS) is Check.FORGED
    assert check_shopify(RAW, signature, [b"other"]) is Check.FORGED
    assert check_shopify(RAW, None, SECRETS) is Check.FORGED


def test_a_shared_secret_is_one_of_those_offered() -> None:
    basic = b"Basic " + base64.b64encode(b"user:old-secret")
    assert basic_of(basic) == (b"user:old-secret", b"old-secret")
    assert check_shared(SECRETS, basic_of(basic)) is Check.GENUINE
    assert check_shared([b"user:old-secret"], basic_of(basic)) is Check.GENUINE
    assert check_shared(SECRETS, [None, b"", b"old-secre"]) is Check.FORGED
    assert check_shared(SECRETS, basic_of(b"Basic %%%")) is Check.FORGED
    assert check_shared(SECRETS, basic_of(None)) is Check.FORGED


@given(st.binary(max_size=120), st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_noise_is_forged_and_raises_nothing(body: bytes, first: bytes, second: bytes, third: bytes) -> None:
    for header in (first, b"t=" + second + b",v1=" + third):
        assert check_stripe(body, header, SECRETS, NOW_MS) is Check.FORGED
    assert check_standard(body, (first, second, b"v1," + third), SECRETS, NOW_MS) is Check.FORGED
    assert check_hubspot(body, (first, second), SECRETS, NOW_MS, method="POST", url=URL) is Check.FORGED
    assert check_hubspot_legacy(body, (first, second), SECRETS, method="POST", url=URL) is Check.FORGED
    assert check_shopify(body, first, SECRETS) is Check.FORGED
    assert check_shared(SECRETS, [*basic_of(first), *basic_of(b"basic " + second), third]) is Check.FORGED
