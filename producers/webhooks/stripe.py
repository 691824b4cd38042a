"""Stripe's events: payments, refunds, disputes, quotes and subscriptions. Pure.

One sale makes several of them (session, payment intent, charge, invoice). An order is the payment intent. Events of it
that do not say who paid are not counted, because a session or an invoice of the same sale is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from producers.formats.port import Request
from producers.ingest.event import Members
from producers.webhooks.delivery import (
    Delivery,
    RawDelivery,
    WebhookEvent,
    integer,
    items,
    major,
    members,
    moment,
    parse_object,
    present,
    text,
)
from producers.webhooks.provider import Credentials, Provider
from producers.webhooks.signatures import MAX_SIGNATURES, Check, is_any_equal, is_number, sha256_hex, verdict
from schemas.money import clean_currency

_STAGES: Final[dict[str, str | None]] = {
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
    "charge.dispute.funds_withdrawn": None,
    "charge.dispute.funds_reinstated": None,
    "charge.dispute.closed/lost": "refund",
    "charge.dispute.closed": None,
    "invoice.voided": "order_withdrawn",
    "customer.subscription.deleted": "subscription_cancelled",
}
_DIGITS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Where Stripe's minor units are not those of ISO 4217."""
_USER_NAMES: Final = ("user_id", "userId", "funnelcast_user_id")
_INVOICE: Final = re.compile(r"in_[A-Za-z0-9]{14,}")
"""An id of Stripe's own; sellers write references of theirs (`in_store`) in the same place."""
_COMMON: Final = ("manager", "product", "campaign", "channel", "pipeline")
_DEVICE_NAMES: Final = ("anonymous_id", "anonymousId", "funnelcast_anonymous_id")
_Reader = Callable[[WebhookEvent, Members, Members], None]


def read(raw: RawDelivery) -> Delivery:
    """One event for each delivery."""
    body = parse_object(raw.body)
    thing = members(members(body.get("data")).get("object"))
    kind = text(body.get("type")) or "event"
    event = WebhookEvent(
        id=text(body.get("id")) or "",
        type=kind,
        element=raw.body,
        subject=_subject(thing, text(body.get("account")) or raw.account),
        keys=(kind,),
        occurred_ms=moment(body.get("created"), unit_ms=1000),
        test_mark="livemode is false" if body.get("livemode") is False else None,
    )
    _people(event, thing)
    event.properties = _common(thing)
    reader = _READERS.get(text(thing.get("object")) or "")
    if reader is not None:
        reader(event, thing, members(members(body.get("data")).get("previous_attributes")))
    event.properties = present(event.properties)
    if intent := _intent_of(thing):
        event.thing = f"stripe:{text(body.get('account')) or raw.account}:payment_intent:{intent}"
    return Delivery([event], text(body.get("id")))


def _subject(thing: Members, account: str) -> str:
    customer = _id(thing.get("customer"))
    if customer:
        return f"stripe:{account}:customer:{customer}"
    kind, intent = text(thing.get("object")) or "object", _intent_of(thing)
    return f"stripe:{account}:{'payment_intent' if intent else kind}:{text(intent, thing.get('id')) or 'unknown'}"


def _intent_of(thing: Members) -> str | None:
    return text(thing.get("id")) if thing.get("object") == "payment_intent" else _id(thing.get("payment_intent"))


def _people(event: WebhookEvent, thing: Members) -> None:
    details, billing = members(thing.get("customer_details")), members(thing.get("billing_details"))
    event.user_id = text(thing.get("client_reference_id"))
    if known := members(thing.get("metadata")):
        event.user_id = text(*map(known.get, _USER_NAMES), event.user_id)
        event.anonymous_id = text(*map(known.get, _DEVICE_NAMES))
    event.email = text(
        details.get("email"),
        thing.get("customer_email"),
        billing.get("email"),
        thing.get("receipt_email"),
        thing.get("email"),
        members(thing.get("evidence")).get("customer_email_address"),
    )
    event.phone = text(details.get("phone"), thing.get("customer_phone"), billing.get("phone"))


def _common(thing: Members) -> Members:
    """What the seller's own metadata says of the sale."""
    known = members(thing.get("metadata"))
    return {name: text(known[name]) for name in _COMMON if name in known}


def _id(value: object) -> str | None:
    """An id, also of an expanded object."""
    return text(members(value).get("id"), value)


def _amount(event: WebhookEvent, thing: Members, *names: str) -> None:
    currency = clean_currency(thing.get("currency"))
    minor = next((one for one in map(thing.get, names) if integer(one) is not None), None)
    value = major(minor, currency, digits=_DIGITS.get(currency or ""))
    event.properties |= {"value": value, "currency": currency if value is not None else None}


def _product(event: WebhookEvent, lines: object) -> None:
    """The first line's, unless the metadata name one."""
    if lines is not None and event.properties.get("product") is None:
        event.properties["product"] = next(
            (text(one.get("description")) for one in items(members(lines).get("data"))), None
        )


def _session(event: WebhookEvent, thing: Members, _: Members) -> None:
    _amount(event, thing, "amount_total")
    event.properties["order_id"] = intent = _id(thing.get("payment_intent"))
    _product(event, thing.get("line_items"))
    is_paid = thing.get("payment_status") == "paid" and intent is not None
    if event.type == "checkout.session.completed" and not is_paid:
        event.keys = ()  # a subscription is paid by its invoice, a delayed method by a later event


def _intent(event: WebhookEvent, thing: Members, _: Members) -> None:
    _amount(event, thing, "amount_received", "amount")
    if event.type != "payment_intent.succeeded":
        _amount(event, thing, "amount")
    event.properties["order_id"] = _invoice_of(thing) or text(thing.get("id"))
    error = members(thing.get("last_payment_error"))
    event.properties["reason"] = text(error.get("decline_code"), error.get("code"), error.get("type"))
    event.needs_person = event.type == "payment_intent.succeeded"


def _invoice_of(intent: Members) -> str | None:
    """The invoice that an intent pays, where the invoice's own events cannot name the intent: from API 2025-03-31 on
    (an intent has no member `invoice`) the two meet in the invoice's id."""
    reference = text(members(intent.get("payment_details")).get("order_reference")) or ""
    return reference if _INVOICE.fullmatch(reference) and "invoice" not in intent else None


def _charge(event: WebhookEvent, thing: Members, previous: Members) -> None:
    _amount(event, thing, "amount_captured", "amount")
    charge = text(thing.get("id"))
    event.properties["order_id"] = _id(thing.get("payment_intent")) or charge
    outcome = members(thing.get("outcome"))
    event.properties["reason"] = text(thing.get("failure_code"), outcome.get("reason"))
    if event.type == "charge.refunded":
        _refunded(event, thing, before=integer(previous.get("amount_refunded")) or 0)
    else:
        event.needs_person = True


def _refunded(event: WebhookEvent, thing: Members, *, before: int) -> None:
    """The amount of this refund alone: the charge holds the sum of all its refunds."""
    total = integer(thing.get("amount_refunded")) or 0
    _amount(event, {**thing, "amount": total - before}, "amount")
    refunds = items(members(thing.get("refunds")).get("data"))
    newest = max(refunds, key=lambda one: integer(one.get("created")) or 0, default={})
    event.properties["refund_id"] = text(newest.get("id")) or f"{text(thing.get('id'))}:{total}"
    event.properties["reason"] = text(newest.get("reason"))


def _refund(event: WebhookEvent, thing: Members, _: Members) -> None:
    _amount(event, thing, "amount")
    event.properties["refund_id"] = text(thing.get("id"))
    event.properties["order_id"] = _id(thing.get("payment_intent")) or _id(thing.get("charge"))
    event.properties["reason"] = text(thing.get("reason"), thing.get("failure_reason"))


def _dispute(event: WebhookEvent, thing: Members, _: Members) -> None:
    _amount(event, thing, "amount")
    event.properties["order_id"] = _id(thing.get("payment_intent")) or _id(thing.get("charge"))
    event.properties["reason"] = text(thing.get("reason"))
    if event.type == "charge.dispute.closed":  # won: the money came back; a warning: it never went
        event.keys = (f"{event.type}/{text(thing.get('status'))}", event.type)
        event.properties["refund_id"] = text(thing.get("id"))


def _invoice(event: WebhookEvent, thing: Members, _: Members) -> None:
    is_paid = event.type == "invoice.paid" and bool(integer(thing.get("amount_paid")))
    _amount(event, thing, "amount_paid" if is_paid else "amount_due")
    payments = items(members(thing.get("payments")).get("data"))
    intents = [_id(members(one.get("payment")).get("payment_intent")) for one in payments]
    intent = _id(thing.get("payment_intent")) or next((one for one in intents if one), None)
    event.properties["order_id"] = intent or text(thing.get("id"))
    _product(event, thing.get("lines"))
    event.properties["billing_reason"] = text(thing.get("billing_reason"))
    if event.type == "invoice.voided":
        _amount(event, thing, "total", "amount_due")
    if event.type == "invoice.paid" and not is_paid and thing.get("paid_out_of_band") is not True:
        event.keys = ()  # a trial: nothing was paid; in cash or by wire it was, whatever Stripe itself received
    if event.type == "invoice.payment_failed":
        event.properties["reason"] = text(members(thing.get("last_finalization_error")).get("code"))


def _quote(event: WebhookEvent, thing: Members, _: Members) -> None:
    _amount(event, thing, "amount_total")
    event.properties["deal_id"] = text(thing.get("id"))


def _subscription(event: WebhookEvent, thing: Members, _: Members) -> None:
    details = members(thing.get("cancellation_details"))
    event.properties["reason"] = text(details.get("feedback"), details.get("reason"))


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


def check(request: Request, credentials: Credentials) -> Check:
    """`Stripe-Signature: t=<seconds>,v1=<hex>[,v1=...]` over `t.body`; the secret as it stands, with its `whsec_`."""
    parts = [part.strip().partition(b"=") for part in request.headers.get(b"stripe-signature", b"").split(b",")]
    times = [value for name, _, value in parts if name == b"t"]
    sent = [value for name, _, value in parts if name == b"v1"][:MAX_SIGNATURES]
    if len(times) != 1 or not is_number(times[0]):
        return Check.FORGED
    expected = [sha256_hex(secret, times[0] + b"." + request.raw_body) for secret in credentials.secrets]
    return verdict(is_any_equal(expected, sent), int(times[0]) * 1000, now_ms=request.received_at_ms)


STRIPE: Final = Provider(name="stripe", read=read, check=check, stages=_STAGES)
