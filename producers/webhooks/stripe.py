"""Stripe's events: payments, refunds, disputes, quotes and subscriptions. Pure.

One sale makes several of them (session, payment intent, charge, invoice). An order is the payment intent; events of it
that do not say who paid count nowhere, because a session or an invoice of the same sale does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from producers.webhooks.told import (
    Arrived,
    Delivery,
    Members,
    Told,
    integer,
    items,
    major,
    members,
    moment,
    parse_object,
    present,
    text,
)
from schemas.money import clean_currency

STAGES: Final[dict[str, str | None]] = {
    "quote.finalized": "offer_sent",
    "quote.accepted": None,
    "quote.canceled": "offer_declined",
    "checkout.session.completed": "payment",
    "checkout.session.async_payment_succeeded": "payment",
    "checkout.session.async_payment_failed": "payment_failed",
    "checkout.session.expired": None,
    "payment_intent.succeeded": "payment",
    "payment_intent.payment_failed": "payment_failed",
    "invoice.sent": "invoice_sent",
    "invoice.paid": "payment",
    "invoice.payment_failed": "payment_failed",
    "charge.refunded": "refund",
    "charge.dispute.created": "dispute",
    "customer.subscription.deleted": "subscription_cancelled",
}
_DIGITS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Where Stripe's minor units are not those of ISO 4217."""
_USER_NAMES: Final = ("user_id", "userId", "funnelcast_user_id")
_COMMON: Final = ("manager", "product", "campaign", "channel", "pipeline")
_DEVICE_NAMES: Final = ("anonymous_id", "anonymousId", "funnelcast_anonymous_id")
_Reader = Callable[[Told, Members, Members], None]


def read(arrived: Arrived) -> Delivery:
    """One event for each delivery."""
    event = parse_object(arrived.body)
    thing = members(members(event.get("data")).get("object"))
    kind = text(event.get("type")) or "event"
    told = Told(
        id=text(event.get("id")) or "",
        type=kind,
        element=arrived.body,
        subject=_subject(thing, text(event.get("account")) or arrived.account),
        keys=(kind,),
        occurred_ms=moment(event.get("created"), unit_ms=1000),
    )
    _people(told, thing)
    told.properties = _common(thing)
    reader = _READERS.get(text(thing.get("object")) or "")
    if reader is not None:
        reader(told, thing, members(members(event.get("data")).get("previous_attributes")))
    told.properties = present(told.properties)
    return Delivery([told], text(event.get("id")))


def _subject(thing: Members, account: str) -> str:
    customer = _id(thing.get("customer"))
    if customer:
        return f"stripe:{account}:customer:{customer}"
    kind = text(thing.get("object")) or "object"
    intent = thing.get("id") if kind == "payment_intent" else _id(thing.get("payment_intent"))
    return f"stripe:{account}:{'payment_intent' if intent else kind}:{text(intent, thing.get('id')) or 'unknown'}"


def _people(told: Told, thing: Members) -> None:
    details, billing = members(thing.get("customer_details")), members(thing.get("billing_details"))
    told.user_id = text(thing.get("client_reference_id"))
    if known := members(thing.get("metadata")):
        told.user_id = text(*map(known.get, _USER_NAMES), told.user_id)
        told.anonymous_id = text(*map(known.get, _DEVICE_NAMES))
    told.email = text(
        details.get("email"),
        thing.get("customer_email"),
        billing.get("email"),
        thing.get("receipt_email"),
        thing.get("email"),
        members(thing.get("evidence")).get("customer_email_address"),
    )
    told.phone = text(details.get("phone"), thing.get("customer_phone"), billing.get("phone"))


def _common(thing: Members) -> Members:
    """What the seller's own metadata says of the sale."""
    known = members(thing.get("metadata"))
    return {name: text(known[name]) for name in _COMMON if name in known}


def _id(value: object) -> str | None:
    """An id, also of a thing that came expanded."""
    return text(members(value).get("id"), value)


def _amount(told: Told, thing: Members, *names: str) -> None:
    currency = clean_currency(thing.get("currency"))
    minor = next((one for one in map(thing.get, names) if integer(one) is not None), None)
    value = major(minor, currency, _DIGITS.get(currency or ""))
    told.properties |= {"value": value, "currency": currency if value is not None else None}


def _product(told: Told, lines: object) -> None:
    """The first line's, unless the metadata name one."""
    if lines is not None and told.properties.get("product") is None:
        told.properties["product"] = next(
            (text(one.get("description")) for one in items(members(lines).get("data"))), None
        )


def _session(told: Told, thing: Members, _: Members) -> None:
    _amount(told, thing, "amount_total")
    told.properties["order_id"] = intent = _id(thing.get("payment_intent"))
    _product(told, thing.get("line_items"))
    is_paid = thing.get("payment_status") == "paid" and intent is not None
    if told.type == "checkout.session.completed" and not is_paid:
        told.keys = ()  # a subscription is paid by its invoice, a delayed method by a later event


def _intent(told: Told, thing: Members, _: Members) -> None:
    _amount(told, thing, "amount_received", "amount")
    if told.type != "payment_intent.succeeded":
        _amount(told, thing, "amount")
    told.properties["order_id"] = text(thing.get("id"))
    error = members(thing.get("last_payment_error"))
    told.properties["reason"] = text(error.get("decline_code"), error.get("code"), error.get("type"))
    told.needs_person = told.type == "payment_intent.succeeded"


def _charge(told: Told, thing: Members, previous: Members) -> None:
    _amount(told, thing, "amount_captured", "amount")
    charge = text(thing.get("id"))
    told.properties["order_id"] = _id(thing.get("payment_intent")) or charge
    outcome = members(thing.get("outcome"))
    told.properties["reason"] = text(thing.get("failure_code"), outcome.get("reason"))
    if told.type == "charge.refunded":
        _refunded(told, thing, integer(previous.get("amount_refunded")) or 0)
    else:
        told.needs_person = True


def _refunded(told: Told, thing: Members, before: int) -> None:
    """Of this refund alone: the charge holds the sum of all its refunds."""
    total = integer(thing.get("amount_refunded")) or 0
    _amount(told, {**thing, "amount": total - before}, "amount")
    refunds = items(members(thing.get("refunds")).get("data"))
    newest = max(refunds, key=lambda one: integer(one.get("created")) or 0, default={})
    told.properties["refund_id"] = text(newest.get("id")) or f"{text(thing.get('id'))}:{total}"
    told.properties["reason"] = text(newest.get("reason"))


def _refund(told: Told, thing: Members, _: Members) -> None:
    _amount(told, thing, "amount")
    told.properties["refund_id"] = text(thing.get("id"))
    told.properties["order_id"] = _id(thing.get("payment_intent")) or _id(thing.get("charge"))
    told.properties["reason"] = text(thing.get("reason"), thing.get("failure_reason"))


def _dispute(told: Told, thing: Members, _: Members) -> None:
    _amount(told, thing, "amount")
    told.properties["order_id"] = _id(thing.get("payment_intent")) or _id(thing.get("charge"))
    told.properties["reason"] = text(thing.get("reason"))


def _invoice(told: Told, thing: Members, _: Members) -> None:
    _amount(told, thing, "amount_paid" if told.type == "invoice.paid" else "amount_due")
    payments = items(members(thing.get("payments")).get("data"))
    intents = [_id(members(one.get("payment")).get("payment_intent")) for one in payments]
    intent = _id(thing.get("payment_intent")) or next((one for one in intents if one), None)
    told.properties["order_id"] = intent or text(thing.get("id"))
    _product(told, thing.get("lines"))
    told.properties["billing_reason"] = text(thing.get("billing_reason"))
    if told.type == "invoice.paid" and not integer(thing.get("amount_paid")):
        told.keys = ()  # a trial: nothing was paid
    if told.type == "invoice.payment_failed":
        told.properties["reason"] = text(members(thing.get("last_finalization_error")).get("code"))


def _quote(told: Told, thing: Members, _: Members) -> None:
    _amount(told, thing, "amount_total")
    told.properties["deal_id"] = text(thing.get("id"))


def _subscription(told: Told, thing: Members, _: Members) -> None:
    details = members(thing.get("cancellation_details"))
    told.properties["reason"] = text(details.get("feedback"), details.get("reason"))


_READERS: Final[dict[str, _Reader]] = {
    "checkout.session": _session,
    "payment_intent": _intent,
    "charge": _charge,
    "refund": _refund,
    "dispute": _dispute,
    "invoice": _invoice,
    "quote": _quote,
    "subscription": _subscription,
}
