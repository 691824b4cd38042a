"""Numbers, shares and amounts of a document as people read them in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from schemas.money import minor_digits
from streams.report.document.shapes import CohortRate, Rate

ABSENT = "–"
SO_FAR = "*"
"""Marks a share that can still grow: some entries have no outcome yet."""


def number(amount: int) -> str:
    """1,234."""
    return f"{amount:,}"


def share(rate: Rate | None) -> str:
    """A share in percent. A ratio of flows above 1 is no share: `×1.07`."""
    return ABSENT if rate is None else percent(rate["rate"])


def percent(rate: float) -> str:
    """See `share`."""
    return f"×{rate:,.2f}" if rate > 1 else f"{100 * rate:.{1 if rate >= 0.01 or rate == 0 else 2}f} %"


def cohort_share(rate: CohortRate | None) -> str:
    """A cohort's rate in percent, marked until every entry of it is decided."""
    return f"{SO_FAR if rate is not None and rate['maturity'] < 1 else ''}{share(rate)}"


def interval(rate: Rate | None) -> str:
    """The interval of a rate in percent; nothing where it has none."""
    if rate is None or rate["interval"] is None:
        return ""
    low, high = rate["interval"]
    return f"{100 * low:.2f}–{100 * high:.2f}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points."""
    return f"{100 * difference:+.2f}"


def verdict(p: float, *, is_significant: bool) -> str:
    """Of a test."""
    return f"{'yes' if is_significant else 'no'}, p {'< 0.001' if p < 0.001 else f'{p:.3f}'}"


def seconds(amount: float) -> str:
    """A duration by its largest unit: `45 s`, `15 min`, `4 h`, `1.5 d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if amount >= size:
            return f"{amount / size:.3g} {unit}"
    return f"{amount:.3g} s"


def instant(at_ms: int) -> str:
    """To the minute."""
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%d %H:%M} UTC"


_BARS = "▁▂▃▄▅▆▇█"


def spark(amounts: Sequence[int]) -> str:
    """A bar for each amount, the highest for the greatest; a space where there is nothing."""
    most = max(amounts, default=0)
    return "".join(_BARS[(len(_BARS) - 1) * amount // most] if amount > 0 else " " for amount in amounts)


def money(minor: float, currency: str) -> str:
    """Minor units as an amount in major ones; a whole number of them is shown exactly."""
    digits = minor_digits(currency)
    if isinstance(minor, int):
        return f"{Decimal(minor).scaleb(-digits):,.{digits}f} {currency}"
    return f"{minor / 10**digits:,.{digits}f} {currency}"


def amounts(by_currency: Mapping[str, int]) -> str:
    """A line for each currency."""
    return "\n".join(money(minor, currency) for currency, minor in sorted(by_currency.items())) or ABSENT
