"""Shopify's webhooks: the topic stands in a header, the body is the order, checkout or customer. Pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

from producers.formats.attribution import attribute, origin_of_link
from producers.webhooks.told import (
    Arrived,
    Delivery,
    Members,
    Told,
    items,
    members,
    moment,
    parse_object,
    present,
    text,
)

STAGES: Final[dict[str, str | None]] = {
    "customers/create": "lead_created",
    "checkouts/create": "checkout_started",
    "draft_orders/create": "offer_sent",
    "orders/create": None,
    "orders/paid": "order_paid",
    "orders/cancelled": "order_cancelled",
    "refunds/create": "refund",
}
HEADERS: Final = (b"x-shopify-topic", b"x-shopify-shop-domain", b"x-shopify-webhook-id")
"""Without which a body cannot be read."""
_TIMES: Final = {"orders/paid": "processed_at", "orders/cancelled": "cancelled_at"}


def read(arrived: Arrived) -> Delivery:
    """One event for each delivery."""
    body = parse_object(arrived.body)
    topic = (arrived.header(b"x-shopify-topic") or "unknown/unknown").lower()
    shop = arrived.header(b"x-shopify-shop-domain") or arrived.account
    number = text(body.get("id"), body.get("token")) or "unknown"
    version = text(body.get("updated_at"), body.get("created_at")) or ""
    time = text(body.get(_TIMES.get(topic, "")), body.get("updated_at"), body.get("created_at"))
    told = Told(
        id=f"{topic}:{number}:{version}",  # of signed parts only: the name of the delivery is not signed
        type=topic.replace("/", "_"),
        element=arrived.body,
        subject=_subject(body, shop, topic, number),
        keys=(topic,),
        occurred_ms=moment(time),
        is_time_unreadable=time is not None and moment(time) is None,
    )
    _people(told, body, topic)
    told.properties = present(_properties(body, topic, number))
    attribute(told.properties, origin_of_link(body.get("landing_site")))
    return Delivery([told], arrived.header(b"x-shopify-webhook-id"))


def _subject(body: Members, shop: str, topic: str, number: str) -> str:
    kind = topic.partition("/")[0].removesuffix("s")
    customer = number if kind == "customer" else text(members(body.get("customer")).get("id"))
    if customer:
        return f"shopify:{shop}:customer:{customer}"
    order = text(body.get("order_id"))
    return f"shopify:{shop}:order:{order}" if order else f"shopify:{shop}:{kind}:{number}"


def _people(told: Told, body: Members, topic: str) -> None:
    customer = members(body.get("customer"))
    told.email = text(body.get("email"), body.get("contact_email"), customer.get("email"))
    told.phone = text(body.get("phone"), customer.get("phone"))
    notes = {text(one.get("name")): text(one.get("value")) for one in items(body.get("note_attributes"))}
    told.user_id = notes.get("user_id") or notes.get("funnelcast_user_id")
    told.anonymous_id = notes.get("anonymous_id") or notes.get("funnelcast_anonymous_id")


def _properties(body: Members, topic: str, number: str) -> Members:
    if topic.startswith("refunds/"):
        return _refund(body, number)
    if topic.startswith("customers/"):
        return {}
    value = text(body.get("total_price"))
    lines = items(body.get("line_items"))
    is_order = topic.startswith("orders/")
    return {
        "order_id": number if is_order else None,
        "order_number": text(body.get("order_number")),
        "value": value,
        "currency": text(body.get("currency"), body.get("presentment_currency")) if value is not None else None,
        "product": next((text(one.get("title"), one.get("name")) for one in lines), None),
        "products": [name for one in lines if (name := text(one.get("title"), one.get("name")))][:20] or None,
        "manager": text(body.get("user_id")),
        "reason": text(body.get("cancel_reason")),
        "source_name": text(body.get("source_name")),
    }


def _refund(body: Members, number: str) -> Members:
    """What went back to the customer: the sum of the refund's transactions that succeeded."""
    paid = [one for one in items(body.get("transactions")) if one.get("kind") == "refund"]
    paid = [one for one in paid if one.get("status") in (None, "success")]
    currencies = {text(one.get("currency")) for one in paid}
    currency = currencies.pop() if len(currencies) == 1 else None
    return {
        "refund_id": number,
        "order_id": text(body.get("order_id")),
        "value": _sum(paid) if currency else None,
        "currency": currency,
        "reason": text(body.get("note")),
    }


def _sum(transactions: list[Members]) -> str | None:
    try:
        return str(sum((Decimal(text(one.get("amount")) or "0") for one in transactions), Decimal(0)))
    except InvalidOperation:
        return None
