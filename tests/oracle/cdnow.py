"""Facts of the CDNOW purchase history, computed from the file with plain text handling: no funnel, no money module.

The file (Hardie and Fader, "CDNOW data set") has one purchase per line: customer, day `YYYYMMDD`, number of CDs,
dollars. The exact reading of each figure stands beside it in `Facts`.
"""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True)
class Facts:
    """What the purchase history says."""

    customers: int
    """Distinct customers."""
    purchases: int
    """Lines: two purchases of one customer on one day are two."""
    revenue_cents: int
    """Sum of the dollar values, exactly."""
    bought_again: int
    """Customers with two lines or more, on the same day or later."""
    bought_again_within_180_days: int
    """Of those, whose second line is at most 180 days after the first (inclusive; the same day is 0 days)."""


@dataclass(frozen=True)
class Purchase:
    """One line of the file."""

    customer: str
    day: date
    cents: int


def read_purchases(path: Path) -> list[Purchase]:
    """The lines of the file, plain or gzipped, in file order."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    purchases = []
    for customer, day, _, dollars in (line.split() for line in raw.decode("ascii").splitlines() if line.strip()):
        if not customer.isdigit():
            continue  # a heading
        whole, cents = re.fullmatch(r"(\d*)\.(\d\d)", dollars).groups()  # type: ignore[union-attr]
        moment = date(int(day[:4]), int(day[4:6]), int(day[6:]))
        purchases.append(Purchase(customer, moment, int(whole or 0) * 100 + int(cents)))
    return purchases


def facts_of(path: Path, *, within_days: int = 180) -> Facts:
    """The facts of a purchase file."""
    days: defaultdict[str, list[date]] = defaultdict(list)
    cents = 0
    for purchase in read_purchases(path):
        days[purchase.customer].append(purchase.day)
        cents += purchase.cents
    again = [sorted(found) for found in days.values() if len(found) > 1]
    return Facts(
        customers=len(days),
        purchases=sum(len(found) for found in days.values()),
        revenue_cents=cents,
        bought_again=len(again),
        bought_again_within_180_days=sum((second - first).days <= within_days for first, second, *_ in again),
    )
