"""The CDNOW purchase history as native events, sorted by time. Reads the file that ships beside it; sends nothing.

One event a purchase. The file knows days only: the purchases of a customer on one day happen at 12:00 UTC and a
millisecond apart each, in the file's order, so that they stay distinct and a second one on day 180 is within 180 days.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

CUSTOMERS: Final = 23_570
PURCHASES: Final = 69_659
CURRENCY: Final = "USD"
SOURCE: Final = "cdnow"
_NOON_MS: Final = 12 * 3_600_000


def cdnow_events(path: Path | None = None) -> Iterator[dict[str, Any]]:
    """Native events in order of time (then of customer). `path`: another file of the same form, plain or gzip.

    Ids and order ids are made of customer, day and the number of the purchase on that day: the same in every run.
    """
    lines = [line.split() for line in _text(path).splitlines() if line[:12].strip()[:1].isdigit()]  # not the heading
    lines.sort(key=lambda fields: (fields[1], fields[0]))  # stable: purchases of one day keep the file's order
    seen: Counter[tuple[str, str]] = Counter()
    for customer, day, cds, value in lines:
        number = seen[customer, day]
        seen[customer, day] += 1
        order_id = f"{customer}-{day}-{number + 1}"
        yield {
            "id": f"cdnow-{order_id}",
            "name": "payment",
            "occurred_at_ms": _noon_ms(day) + number,
            "user_id": customer,
            "source": SOURCE,
            "properties": {"order_id": order_id, "value": value, "currency": CURRENCY, "cds": int(cds)},
        }


@lru_cache(maxsize=1024)
def _noon_ms(day: str) -> int:
    date = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    return int(date.timestamp()) * 1000 + _NOON_MS


def _text(path: Path | None) -> str:
    data = path.read_bytes() if path is not None else _shipped()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("ascii")


def _shipped() -> bytes:
    return resources.files("producers").joinpath("data", "cdnow_master.txt.gz").read_bytes()
