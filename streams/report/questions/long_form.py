"""A counters document in long form, as CSV: a line for each number, with its address. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from streams.report.document.shapes import CountersDocument

Row = Sequence[object]
COUNTER_COLUMNS: Final = ("funnel", "version", "grain", "bucket", "dim", "stage", "family", "key", "amount")
RATE_COLUMNS: Final = (
    *("funnel", "version", "grain", "bucket", "dim", "rate", "of"),
    *("value", "numerator", "denominator", "low", "high", "maturity"),
)
_ADDRESS: Final = ("grain", "bucket", "dim")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text for a formula that begins so."""


def counters_csv(documents: Iterable[CountersDocument]) -> bytes:
    """A line for each amount; `key` is the sub-key of the family, empty where it has none."""
    return csv_bytes(COUNTER_COLUMNS, (row for document in documents for row in _counter_rows(document)))


def rates_csv(documents: Iterable[CountersDocument]) -> bytes:
    """A line for each rate that is there; amounts and names, such as `money.aov`, have a value alone."""
    return csv_bytes(RATE_COLUMNS, (row for document in documents for row in _rate_rows(document)))


LONG_FORMS: Final[Mapping[str, Callable[[Iterable[CountersDocument]], bytes]]] = {
    "counters": counters_csv,
    "rates": rates_csv,
}


def csv_bytes(columns: Row, rows: Iterable[Row]) -> bytes:
    """A header and rows (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow(columns)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8", "replace")


def _plain(value: object) -> object:
    """A text that no spreadsheet takes for a formula: reasons and dimension values are other people's texts."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _counter_rows(document: CountersDocument) -> Iterable[Row]:
    for grain, buckets in document["counters"].items():
        for bucket, cells in buckets.items():
            for dim, stages in cells.items():
                for stage, families in stages.items():
                    address = (document["funnel"], document["version"], grain, bucket, dim, stage)
                    for family, amounts in families.items():
                        by_key = {"": amounts} if isinstance(amounts, int) else amounts
                        yield from ((*address, family, key, amount) for key, amount in by_key.items())


def _rate_rows(document: CountersDocument) -> Iterable[Row]:
    for rates in document["rates"]:
        members: dict[str, object] = {**rates}
        address = (document["funnel"], document["version"], *(members.pop(name) for name in _ADDRESS))
        for name, value in members.items():
            if name in {"money", "overall"} or not isinstance(value, Mapping):
                yield from (_with(address, line) for line in _lines(name, "", value=value))
                continue
            yield from (_with(address, line) for of, rate in value.items() for line in _lines(name, of, value=rate))


def _with(address: Row, line: Row) -> Row:
    return (*address, *line)


def _lines(name: str, of: str, *, value: object) -> Iterable[Row]:
    """What follows the address: one line of a rate, one of each amount of money, none of what is absent."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield (name, of, value, "", "", "", "", "")
    elif "rate" in value:
        low, high = value["interval"] or ("", "")
        numbers = (value["rate"], value["numerator"], value["denominator"])
        yield (name, of, *numbers, low, high, value.get("maturity", ""))
    else:
        for key, inner in value.items():
            yield from _lines(f"{name}.{key}", of, value=inner)
