"""Shopify's webhooks: the topic stands in a header, the body is the order, checkout or customer. Pure."""

from __future__ import annotations

import hashlib
from decimal import Decimal, InvalidOperation
from typing import Final

from producers.formats.port import Request
from producers.ingest.event import Members
from producers.webhooks.delivery import (
    ORDER_STAGES,
    RESTATED,
    WITHDRAWN,
    Delivery,
    Further,
    RawDelivery,
    WebhookEvent,
    items,
    members,
    moment,
    parse_object,
    present,
    text,
)
from producers.webhooks.provider import Credentials, Provider
from producers.webhooks.signatures import Check, is_any_equal, sha256_base64, verdict

_STAGES: Final[dict[str, str | None]] = {
    "customers/create": "lead_created",
    "checkouts/create": "checkout_started",
    "draft_orders/create": "offer_sent",
    "orders/create": None,
    "orders/paid": "order_paid",
    "orders/cancelled": "order_cancelled",
    "orders/edited": None,
    "orders/updated": None,
    "orders/delete": "order_withdrawn",
    "refunds/create": "refund",
    "disputes/create": "dispute",
    "disputes/update": None,
    "disputes/lost": "refund",
    **ORDER_STAGES,
}
_PAID: Final = ("paid", "partially_refunded", "refunded")
"""Financial states of an order that was paid in full."""
_LOST: Final = ("lost", "accepted")
"""States of a chargeback whose money is gone; of an inquiry none went."""
_DISPUTES: Final = ("disputes/create", "disputes/update")
_HEADERS: Final = (b"x-shopify-topic", b"x-shopify-shop-domain", b"x-shopify-webhook-id", b"x-shopify-test")


def _time(body: Members, topic: str) -> str | None:
    """When this change happened. Never `processed_at`, which says when the order was placed and can be set to any day,
    and the day of creation only of what was created."""
    if topic.endswith("/create") or topic == "orders/edited":  # of an edit, which is a thing of its own
        return text(body.get("created_at"), body.get("updated_at"))
    cancelled = body.get("cancelled_at") if topic == "orders/cancelled" else None
    return text(cancelled, body.get("updated_at"))


def read(raw: RawDelivery) -> Delivery:
    """One event for each delivery; a cancelled order is withdrawn besides."""
    body = parse_object(raw.body)
    body = members(body.get("order_edit")) or body
    topic = (raw.header(b"x-shopify-topic") or "unknown/unknown").lower()
    shop = raw.header(b"x-shopify-shop-domain") or raw.account
    number = text(body.get("id"), body.get("token")) or "unknown"
    version = text(body.get("updated_at"), body.get("created_at")) or hashlib.sha256(raw.body).hexdigest()[:16]
    time = _time(body, topic)
    event = WebhookEvent(
        id=f"{topic}:{number}:{version}",  # of signed parts only: the name of the delivery is not signed
        type=topic.replace("/", "_"),
        element=raw.body,
        subject=_subject(body, shop=shop, topic=topic, number=number),
        keys=(topic,),
        occurred_ms=moment(time),
        is_time_unreadable=time is not None and moment(time) is None,
        test_mark=_test_mark(body, raw),
    )
    _people(event, body)
    event.properties = present(_properties(body, topic=topic, number=number))
    _of_the_order(event, body, topic=topic, shop=shop)
    touch = present({"url": text(body.get("landing_site")), "referrer": text(body.get("referring_site"))})
    if touch:
        event.context = {"first_touch": touch}
    return Delivery([event], raw.header(b"x-shopify-webhook-id"))


def _of_the_order(event: WebhookEvent, body: Members, *, topic: str, shop: str) -> None:
    """What the delivery says of an order besides: `refunds/create` tells what went back, so that a cancellation books
    no money."""
    order = event.properties.get("order_id")
    event.thing = f"shopify:{shop}:order:{order}" if order else None
    event.refunds_follow = True
    if topic == "orders/cancelled":
        event.further = (Further((WITHDRAWN,)),)
    elif topic in _DISPUTES and body.get("type") == "chargeback" and body.get("status") in _LOST:
        event.further = (Further(("disputes/lost",)),)  # lost when it is told, or now
    elif topic == "orders/updated" and body.get("financial_status") in _PAID and not body.get("cancelled_at"):
        event.keys = (RESTATED,)


def _test_mark(body: Members, raw: RawDelivery) -> str | None:
    """Of an order by a test payment, a refund of one, a delivery that the shop's settings send as a trial."""
    if body.get("test") is True or any(one.get("test") is True for one in items(body.get("transactions"))):
        return "test is true"
    is_trial = (raw.header(b"x-shopify-test") or "").lower() == "true"
    return "X-Shopify-Test is true" if is_trial else None


def _subject(body: Members, *, shop: str, topic: str, number: str) -> str:
    kind = topic.partition("/")[0].removesuffix("s")
    customer = number if kind == "customer" else text(members(body.get("customer")).get("id"))
    if customer:
        return f"shopify:{shop}:customer:{customer}"
    order = text(body.get("order_id"))
    return f"shopify:{shop}:order:{order}" if order else f"shopify:{shop}:{kind}:{number}"


def _people(event: WebhookEvent, body: Members) -> None:
    customer = members(body.get("customer"))
    event.email = text(body.get("email"), body.get("contact_email"), customer.get("email"))
    event.phone = text(body.get("phone"), customer.get("phone"))
    notes = {text(one.get("name")): text(one.get("value")) for one in items(body.get("note_attributes"))}
    event.user_id = notes.get("user_id") or notes.get("funnelcast_user_id")
    event.anonymous_id = notes.get("anonymous_id") or notes.get("funnelcast_anonymous_id")


def _properties(body: Members, *, topic: str, number: str) -> Members:
    if topic.startswith("refunds/"):
        return _refund(body, number)
    if topic.startswith("customers/"):
        return {}
    if topic.startswith("disputes/"):
        return _dispute(body, number)
    value = _received(body) if topic in ("orders/paid", "orders/updated") else text(body.get("total_price"))
    lines = items(body.get("line_items"))
    is_order = topic.startswith("orders/")
    return {
        "order_id": text(body.get("order_id"), number) if is_order else None,
        "order_number": text(body.get("order_number")),
        "value": value,
        "currency": text(body.get("currency"), body.get("presentment_currency")) if value is not None else None,
        "product": next((text(one.get("title"), one.get("name")) for one in lines), None),
        "products": [name for one in lines if (name := text(one.get("title"), one.get("name")))][:20] or None,
        "manager": text(body.get("user_id")),
        "reason": text(body.get("cancel_reason")),
        "source_name": text(body.get("source_name")),
    }


def _received(body: Members) -> str | None:
    """What the customer paid, before refunds: what the order is worth now, without what is still to be paid (or, below
    zero, to be given back), and what went back. So an edit and the refund that it leads to take the amount off once:
    the refund does, whenever it comes. Of an order that is not paid in full, or whose open amount is
    out of date, it is the total."""
    total = text(body.get("total_price"))
    if body.get("financial_status") not in _PAID or any(
        text(one.get("currency")) not in (None, text(body.get("currency"))) for one in _given_back(body)
    ):
        return total
    try:
        worth, open_, back = (
            Decimal(text(body.get("current_total_price")) or ""),
            Decimal(text(body.get("total_outstanding")) or ""),
            sum((Decimal(text(one.get("amount")) or "") for one in _given_back(body)), Decimal(0)),
        )
    except InvalidOperation:
        return total
    received = worth - open_ + back
    return str(received) if received > 0 else total


def _given_back(body: Members) -> list[Members]:
    """The transactions of an order's refunds that succeeded."""
    return [one for refund in items(body.get("refunds")) for one in _succeeded(refund)]


def _succeeded(refund: Members) -> list[Members]:
    paid = [one for one in items(refund.get("transactions")) if one.get("kind") == "refund"]
    return [one for one in paid if one.get("status") in (None, "success")]


def _refund(body: Members, number: str) -> Members:
    """What the customer got back: the sum of the refund's transactions that succeeded."""
    paid = _succeeded(body)
    currencies = {text(one.get("currency")) for one in paid}
    currency = currencies.pop() if len(currencies) == 1 else None
    return {
        "refund_id": number,
        "order_id": text(body.get("order_id")),
        "value": _sum(paid) if currency else None,
        "currency": currency,
        "reason": text(body.get("note")),
    }


def _dispute(body: Members, number: str) -> Members:
    """The amount that the customer's bank takes back."""
    value = text(body.get("amount"))
    return {
        "refund_id": f"dispute:{number}",
        "order_id": text(body.get("order_id")),
        "value": value,
        "currency": text(body.get("currency")) if value is not None else None,
        "reason": text(body.get("reason")),
    }


def _sum(transactions: list[Members]) -> str | None:
    try:
        return str(sum((Decimal(text(one.get("amount")) or "0") for one in transactions), Decimal(0)))
    except InvalidOperation:
        return None


def check(request: Request, credentials: Credentials) -> Check:
    """`X-Shopify-Hmac-Sha256`: base64 over the body; its time is not signed, so there is no window."""
    sent = request.headers.get(b"x-shopify-hmac-sha256")
    expected = [sha256_base64(secret, request.raw_body) for secret in credentials.secrets]
    return verdict(is_any_equal(expected, [sent] if sent else []))


SHOPIFY: Final = Provider(name="shopify", read=read, check=check, stages=_STAGES, headers=_HEADERS)
