"""The number of a cell, exactly, by the marks that its file uses. Pure. What does not fit the marks is no number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

_SIGNS: Final = {
    "$": ("USD", "CAD", "AUD", "NZD", "HKD", "SGD", "MXN", "ARS", "CLP", "COP"),
    "US$": ("USD",),
    "€": ("EUR",),
    "£": ("GBP",),
    "¥": ("JPY", "CNY"),
    "₽": ("RUB",),
    "РУБ": ("RUB",),
    "РУБ.": ("RUB",),
    "Р.": ("RUB",),
    "₴": ("UAH",),
    "ГРН": ("UAH",),
    "ГРН.": ("UAH",),
    "₸": ("KZT",),
    "₹": ("INR",),
    "₺": ("TRY",),
    "ZŁ": ("PLN",),
    "R$": ("BRL",),
    "KČ": ("CZK",),
    "KR": ("SEK", "NOK", "DKK", "ISK"),
    "FR.": ("CHF",),
}
_BLANKS: Final = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-"})


class NoNumberError(ValueError):
    """The text says what to write in the import file, or in the cell."""


@dataclass(frozen=True, slots=True)
class Marks:
    """How a file writes numbers."""

    decimal: str = "."
    thousands: str = ""

    def read(self, value: object, currency: str | None = None) -> Decimal:
        """A number; one that names its currency must name the event's. Raises NoNumberError."""
        if isinstance(value, Decimal):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Decimal(str(value))
        text = str(value).translate(_BLANKS).strip()
        bare, negative = _signed(text)
        bare = _without_currency(bare, text, currency=currency)
        bare, again = _signed(bare)
        if not _pattern(self.decimal, self.thousands).fullmatch(bare):
            raise NoNumberError(f"{text[:64]!r} is no number{self._advice(bare)}")
        number = Decimal(bare.replace(self.thousands or " ", "").replace(self.decimal, "."))
        return -number if negative != again else number

    def _advice(self, text: str) -> str:
        marks = f"the decimal mark {self.decimal!r} and the thousands mark {self.thousands or 'none'!r}"
        if re.fullmatch(r"[\d.,' ]+", text):
            return f" with {marks}; say what the file uses with decimal: and thousands:"
        return ""


@lru_cache(maxsize=16)
def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    whole = r"\d+"
    if thousands:
        whole = rf"(?:\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+|\d+)"
    return re.compile(rf"{whole}(?:{re.escape(decimal)}\d+)?|{re.escape(decimal)}\d+", re.ASCII)


def _signed(text: str) -> tuple[str, bool]:
    if text.startswith("(") and text.endswith(")"):
        return text[1:-1].strip(), True
    if text.startswith(("-", "+")):
        return text[1:].strip(), text[0] == "-"
    return (text[:-1].strip(), True) if text.endswith("-") else (text, False)


def _without_currency(text: str, cell: str, *, currency: str | None) -> str:
    match = re.fullmatch(r"([^\d.,'()+-]*\.?)?\s*([-+(]?[\d.,' ]*\d[)-]?)\s*([^\d]*)", text)
    if match is None:
        return text
    named = [part.strip() for part in (match[1] or "", match[3]) if part.strip()]
    for name in named:
        means = _SIGNS.get(name.upper(), (name.upper(),) if re.fullmatch(r"[A-Za-z]{3}", name) else ())
        if not means:
            return text
        if currency is None or currency.upper() not in means:
            wanted = currency or "none: say it with currency:"
            raise NoNumberError(f"{cell[:64]!r} names the currency {name!r}, and the event's is {wanted}")
    return match[2].strip() if named else text
