"""Exact money: decimal text in major units to integer minor units of an ISO-4217 currency. Never a float."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

_ZERO = frozenset({"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"}) | frozenset(
    {"RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"}
)
_THREE = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
_FOUR = frozenset(["CLF", "UYW"])
_CURRENCY = re.compile(r"[A-Z]{3}")
MAX_MINOR = 10**15
"""Amounts at or above this many minor units are no amounts (they would not stay exact in every client)."""


def minor_digits(currency: str) -> int:
    """Decimals of an upper-case ISO-4217 code; 2 for codes that are not special."""
    if currency in _ZERO:
        return 0
    if currency in _THREE:
        return 3
    return 4 if currency in _FOUR else 2


def clean_currency(value: object) -> str | None:
    """The upper-case three-letter code, or None where `value` is none."""
    if not isinstance(value, str):
        return None
    text = value.strip().upper()
    return text if _CURRENCY.fullmatch(text) else None


def parse_minor(raw: str | int | float | Decimal, currency: str) -> int | None:
    """Minor units of a decimal in major units, half-even to the currency's decimals.

    None where it is no number, not finite, negative or absurd (semantics.md 1). A float is read by its shortest text.
    """
    if isinstance(raw, bool) or (isinstance(raw, str) and ("_" in raw or not raw.isascii())):
        return None
    try:
        amount = Decimal(raw.strip() if isinstance(raw, str) else str(raw))
    except (InvalidOperation, ValueError):
        return None
    if not amount.is_finite() or amount < 0 or amount >= MAX_MINOR:
        return None
    # Enough digits for what was sent: the default context would round to 28 first, and then once more.
    context = Context(prec=len(amount.as_tuple().digits) + 24, rounding=ROUND_HALF_EVEN)
    minor = int(
        context.scaleb(amount, minor_digits(currency)).to_integral_value(rounding=ROUND_HALF_EVEN, context=context)
    )
    return minor if minor < MAX_MINOR else None


def clean_minor(raw: object) -> int | None:
    """An integer amount already in minor units, or None where it is no such amount."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, str):
        text = raw.strip()
        if not text.isascii() or not text.isdigit() or len(text) > 16:
            return None
        raw = int(text)
    if not isinstance(raw, int) or raw < 0 or raw >= MAX_MINOR:
        return None
    return raw
