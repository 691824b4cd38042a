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
    seen: Counter[tuple[str, str]] = Counter()
    events = []
    for customer, day, cds, value in lines:
        seen[customer, day] += 1
        events.append(_event(customer, day, number=seen[customer, day], cds=int(cds), value=value))
    events.sort(key=lambda event: (event["occurred_at_ms"], event["user_id"]))
    yield from events


def _event(customer: str, day: str, *, number: int, cds: int, value: str) -> dict[str, Any]:
    order_id = f"{customer}-{day}-{number}"
    return {
        "id": f"cdnow-{order_id}",
        "name": "payment",
        "occurred_at_ms": _noon_ms(day) + number - 1,
        "user_id": customer,
        "source": SOURCE,
        "properties": {"order_id": order_id, "value": value, "currency": CURRENCY, "cds": cds},
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
