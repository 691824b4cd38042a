"""What an import would send, as numbers a person can compare with the source. Counts only; decides nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from producers.importer.making import Made
from producers.ingest.verdicts import Accepted
from schemas.money import minor_digits

_SAMPLES: Final = 10
_VALUES: Final = 1_000
"""Distinct values that are counted exactly; beyond, there are more."""
_FREQUENT: Final = 5
_AT_ONCE: Final = 2_000
_TABLE: Final = """create table facts (name text, at integer, person blob, no_id integer, no_amount integer,
  no_order integer, late integer, order_id text, currency text, minor integer)"""
_SUMS: Final = """select name, count(*), min(at), max(at), count(distinct person), sum(no_id), sum(no_amount),
  sum(no_order), sum(late) from facts group by name order by name"""
_MONEY: Final = """select name, currency, count(*), sum(minor) from facts where minor is not null
  group by name, currency order by name, currency"""
_SEVERAL: Final = """select name, order_id, count(distinct minor) from facts
  where order_id is not null and minor is not null
  group by name, order_id having count(distinct minor) > 1 order by name, order_id"""


@dataclass(slots=True)
class Overview:
    """Every event that will be sent. `earliest_ms`: what occurred before would be late."""

    earliest_ms: int = 0
    samples: list[Made] = field(default_factory=list)
    _database: sqlite3.Connection = field(init=False)
    _waiting: list[tuple[object, ...]] = field(default_factory=list)
    _values: dict[str, dict[str, int]] = field(default_factory=dict)
    _sampled: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(_TABLE)
        self._database.execute("begin")

    def add(self, event: Made, accepted: Accepted, *, has_own_id: bool) -> None:
        """One event."""
        properties = event.get("properties") or {}
        currency = str(properties.get("currency") or "").upper()
        minor = _minor_of(properties, currency or "USD")
        order_id = properties.get("order_id")
        at_ms = event["occurred_at_ms"]
        is_late = at_ms < self.earliest_ms and accepted.key is not None  # spend is never late
        self._waiting.append(
            (accepted.name, at_ms, accepted.key, not has_own_id, minor is None, order_id is None,
             is_late, None if order_id is None else str(order_id), currency, minor)
        )  # fmt: skip
        if len(self._waiting) >= _AT_ONCE:
            self._write()
        for name, value in properties.items():
            self._count_value(name, value)
        self._sample(accepted.name, event)

    def _count_value(self, name: str, value: object) -> None:
        if isinstance(value, str | int | float):
            values = self._values.setdefault(name, {})
            text = str(value)
            if text in values or len(values) <= _VALUES:
                values[text] = values.get(text, 0) + 1

    def _sample(self, name: str, event: Made) -> None:
        """The first of each name, then the first of all."""
        if name not in self._sampled and len(self._sampled) < _SAMPLES:
            self._sampled.add(name)
            self.samples.insert(len(self._sampled) - 1, event)
            del self.samples[_SAMPLES:]
        elif len(self.samples) < _SAMPLES:
            self.samples.append(event)

    def _write(self) -> None:
        self._database.executemany("insert into facts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._waiting)
        self._waiting = []

    def document(self) -> dict[str, Any]:
        """For `--json`. Times are RFC 3339; money is in minor units, by currency ("": the funnel's)."""
        self._write()
        events = [self._events_of(row) for row in self._database.execute(_SUMS)]
        for name, currency, count, minor in self._database.execute(_MONEY):
            money = next(each["money"] for each in events if each["name"] == name)
            money[currency] = {"events": count, "minor": minor}
        several = self._database.execute(_SEVERAL).fetchall()
        return {
            "events": events,
            "orders_with_several_amounts": {"count": len(several), "first": [str(row[1]) for row in several[:5]]},
            "distinct": {name: self._distinct(values) for name, values in sorted(self._values.items())},
            "samples": self.samples,
        }

    def _events_of(self, row: tuple[Any, ...]) -> dict[str, Any]:
        name, count, first, last, persons, no_id, no_amount, no_order, late = row
        return {
            "name": name,
            "count": count,
            "first": _shown(first),
            "last": _shown(last),
            "persons": persons,
            "without_id": no_id,
            "without_amount": no_amount,
            "without_order_id": no_order,
            "late": late,
            "money": {},
        }

    def _distinct(self, values: dict[str, int]) -> dict[str, Any]:
        frequent = sorted(values.items(), key=lambda item: (-item[1], item[0]))[:_FREQUENT]
        more = {"more": True} if len(values) > _VALUES else {}
        return {"count": min(len(values), _VALUES), "frequent": dict(frequent), **more}


def _minor_of(properties: Made, currency: str) -> int | None:
    from schemas.money import clean_minor, parse_minor

    if properties.get("value") is not None:
        return parse_minor(properties["value"], currency)
    if properties.get("value_minor") is not None:
        return clean_minor(properties["value_minor"])
    return None if properties.get("amount") is None else parse_minor(properties["amount"], currency)


def _shown(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def major(minor: int, currency: str) -> str:
    """Minor units as a person writes them."""
    digits = minor_digits(currency or "USD")
    return f"{minor / 10**digits:,.{digits}f} {currency}".strip()
