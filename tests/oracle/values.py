"""Names, ids, money and dimension values, read by the words of the counting rules. Pure text and integers."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

UNKNOWN = "unknown"
OTHER = "other"

_NOTHING = {"null", "nil", "undefined", "nan", "n/a", "{}", "[]", "-", "--", "\\n", "(null)", "<null>"} | {
    "[object object]",
    "(not set)",
    "not set",
}
_NOTHING |= {"#n/a", "#null!", "#ref!", "#value!", "#div/0!", "#name?", "#num!"}
_PLACEHOLDERS = _NOTHING | {"", "0" * 32, "00000000-0000-0000-0000-000000000000"}
_PLACEHOLDERS |= {
    "none",
    "(none)",
    "na",
    "0",
    "0.0",
    "0.00",
    "-1",
    "true",
    "false",
    "anonymous",
    "anon",
    "guest",
    "unknown",
    "user",
    "id",
    "distinct_id",
}
_PLACEHOLDERS |= {"not_authenticated"}
_BRACKETS = [("{{", "}}"), ("{%", "%}"), ("${", "}"), ("#{", "}"), ("<%", "%>"), ("%%", "%%"), ("*|", "|*")]
"""What a template stands in, whatever it is; in these a name alone:"""
_NAME_BRACKETS = [("{", "}"), ("%", "%"), ("%(", ")s"), ("%(", ")d")]

_ZERO_DECIMALS = {
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "ISK",
    "JPY",
    "KMF",
    "KRW",
    "PYG",
    "RWF",
    "UGX",
    "UYI",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
}
_THREE_DECIMALS = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
_FOUR_DECIMALS = {"CLF", "UYW"}


def same_name(text: str) -> str:
    """The form in which event names are compared."""
    return one_spelling(unicodedata.normalize("NFD", text.strip()).casefold()).replace(" ", "_").replace("-", "_")


def one_spelling(text: str) -> str:
    """Letters and their accents together, in whichever of the two ways they were written."""
    return unicodedata.normalize("NFC", text)


def is_placeholder(value: Any) -> bool:
    """A text that is there but stands for "no id"."""
    text = str(value).strip()
    return value is not None and (text.casefold() in _PLACEHOLDERS or is_unfilled(text))


def is_unfilled(text: str) -> bool:
    """A template that nobody has filled in, and nothing else."""

    def inside(brackets: tuple[str, str]) -> str | None:
        left, right = brackets
        is_whole = len(text) >= len(left) + len(right) and text.startswith(left) and text.endswith(right)
        return text[len(left) : len(text) - len(right)] if is_whole else None

    if text in ("%s", "%d") or any(inside(brackets) is not None for brackets in _BRACKETS):
        return True
    capitals = inside(("__", "__"))
    if capitals and capitals[0] != "_" and all(letter == "_" or "A" <= letter <= "Z" for letter in capitals):
        return True
    names = [name.removeprefix("$") for brackets in _NAME_BRACKETS if (name := inside(brackets))]
    parts = [part for name in names for part in name.replace(":", ".").split(".")]
    return bool(parts) and all(part.replace("_", "a").isascii() and part.replace("_", "a").isalpha() for part in parts)


def real_id(value: Any) -> str | None:
    """The trimmed id; None for an absent one, a placeholder, or what is no plain text or integer."""
    if value is None or isinstance(value, bool) or not isinstance(value, str | int) or is_placeholder(value):
        return None
    return one_spelling(str(value).strip())


def person_of(event: dict[str, Any]) -> str | None:
    """`u:`, `c:` or `a:` and the highest id of the event."""
    for prefix, field in (("u", "user_id"), ("c", "contact_id"), ("a", "anonymous_id")):
        value_id = real_id(event.get(field))
        if value_id is not None:
            return f"{prefix}:{value_id}"
    return None


def lower_ids_of(event: dict[str, Any]) -> list[str]:
    """The event's ids below its highest one, the higher first."""
    ids = [(prefix, real_id(event.get(field))) for prefix, field in (("c", "contact_id"), ("a", "anonymous_id"))]
    lower = [f"{prefix}:{found}" for prefix, found in ids if found is not None]
    return [one for one in lower if one != person_of(event)]


def placeholders_in(event: dict[str, Any]) -> int:
    """How many of the event's ids are placeholders."""
    return sum(is_placeholder(event.get(field)) for field in ("user_id", "contact_id", "anonymous_id"))


@dataclass(frozen=True)
class Amount:
    """Integer minor units of a currency."""

    minor: int
    currency: str


def _decimals(currency: str) -> int:
    if currency in _ZERO_DECIMALS:
        return 0
    if currency in _THREE_DECIMALS:
        return 3
    return 4 if currency in _FOUR_DECIMALS else 2


def as_number(value: Any) -> Decimal | None:
    """The finite number a JSON value states, be it a number or decimal text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    text = value.strip() if isinstance(value, str) else str(value)
    if "_" in text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _currency(properties: dict[str, Any], funnel_currency: str) -> str | None:
    currency = properties.get("currency")
    if currency is None:
        currency = funnel_currency
    if not isinstance(currency, str):
        return None
    currency = currency.strip().upper()
    if len(currency) != 3 or any(letter not in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for letter in currency):
        return None
    return currency


def money_of(stated: Any, currency: str | None) -> Amount | None:
    """A decimal in major units as an amount; None where it is no number, negative, or without a currency."""
    number = as_number(stated)
    if currency is None or number is None or number < 0:
        return None
    scaled = number * (Decimal(10) ** _decimals(currency))
    return Amount(int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN)), currency)


def further_amount_of(properties: dict[str, Any], key: str, funnel_currency: str) -> Amount | None:
    """`cost` or `discount` of an event, in the event's currency."""
    return money_of(properties.get(key), _currency(properties, funnel_currency))


def amount_of(properties: dict[str, Any], funnel_currency: str) -> Amount | None:
    """The amount an event states, or None: no number, negative, or not in a three-letter currency."""
    currency = _currency(properties, funnel_currency)
    if currency is None:
        return None
    if properties.get("value") is None and properties.get("value_minor") is not None:
        whole = as_number(properties["value_minor"])
        if whole is None or whole < 0 or whole != whole.to_integral_value():
            return None
        return Amount(int(whole), currency)
    stated = properties.get("value")
    if stated is None:
        stated = properties.get("amount")
    return money_of(stated, currency)


def plain_text(value: Any) -> str | None:
    """A dimension value or reason as it is compared and shown: trimmed, cut to 64, without case; None if none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float | Decimal):
        return None
    text = one_spelling(str(value).strip())[:64]
    compared = one_spelling(unicodedata.normalize("NFD", text).casefold())
    return None if compared in _NOTHING or is_unfilled(str(value).strip()) else compared or None


def shown(text: str) -> str:
    """How a text stands in a document: one that reads like a reserved word (in quotes already, perhaps) in quotes."""
    bare = text
    while len(bare) > 1 and bare[0] == bare[-1] == '"':
        bare = bare[1:-1]
    return f'"{text}"' if bare in (UNKNOWN, OTHER) else text


def class_of(properties: dict[str, Any]) -> str:
    """Who made an event: a person, unless it says otherwise in one of the known words."""
    said = properties.get("traffic")
    word = said.strip().lower() if isinstance(said, str) else "human"
    return word if word in ("bot", "prefetch", "staff", "canary") else "human"
