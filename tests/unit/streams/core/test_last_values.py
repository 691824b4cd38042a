"""What the attribution `last` says, event by event: exit pages, last touches, touches before an order."""

from __future__ import annotations

from typing import Any

from tests.oracle.generate import Case
from tests.property.driver import Run, core_document

_FUNNEL: dict[str, Any] = {
    "name": "site",
    "conversion_window": "30d",
    "stages": [
        {"name": "visit", "on": ["view"], "abandon_after": "10s"},
        {"name": "lead", "on": ["form"]},
        {"name": "payment", "on": ["pay"], "order": True},
    ],
    "lost": [{"on": ["gone"]}],
    "dimensions": [
        {"name": "exit", "property": "page.path", "attribution": "last"},
        {"name": "touches", "property": "journey.touches", "attribution": "last"},
    ],
    "pairs": [["exit", "touches"]],
}


def _cells(*events: tuple[int, str, str | None]) -> dict[str, Any]:
    """Totals by exit page and touches, after events (second, name, page)."""
    log = [
        {"id": str(number), "name": name, "occurred_at_ms": at * 1000, "received_at_ms": at * 1000, "user_id": "u"}
        | ({} if page is None else {"context": {"page": {"path": page}}})
        for number, (at, name, page) in enumerate(events)
    ]
    run = Run(batch_sizes=[1] * len(log), dump_and_load=True, general_only=False)
    total = core_document(Case(_FUNNEL, [*log, {"tick": 200_000}]), run)["counters"]["total"]["all"]
    return {label: cell for label, cell in total.items() if "|" in label}


def test_people_leave_from_the_last_page_before_the_deadline() -> None:
    cells = _cells((0, "view", "/"), (5, "view", "/prices"), (60, "view", "/blog"))
    assert cells["exit=/prices|touches=2"]["visit"]["abandoned.cohort"] == 1


def test_a_later_entry_begins_with_the_page_that_came_last_and_an_event_without_a_page_changes_none() -> None:
    cells = _cells((0, "view", "/"), (60, "view", "/blog"), (61, "form", None))
    assert cells["exit=/|touches=1"]["visit"]["revived.cohort"] == 1
    assert cells["exit=/blog|touches=3"]["lead"]["open"] == 1


def test_what_comes_after_a_loss_is_not_from_where_they_left() -> None:
    cells = _cells((0, "form", "/form"), (1, "view", "/prices"), (2, "gone", "/gone"), (3, "view", "/blog"))
    assert cells["exit=/prices|touches=2"]["lead"]["lost.cohort"] == {"unknown": 1}


def test_an_order_has_the_touches_before_it_and_completes_at_once() -> None:
    cells = _cells((0, "view", "/"), (1, "form", "/form"), (2, "pay", None), (3, "view", "/thanks"), (4, "pay", None))
    assert cells["exit=/|touches=1"]["visit"]["advanced.cohort"] == 1
    assert cells["exit=/form|touches=2"]["payment"] | {"events": 0} == {
        "entries": 1,
        "completed": 1,
        "reached": 1,
        "customers": 1,
        "events": 0,
        "orders": {"USD": 1},
        "lead_time": {"10": 1},
        "lead_time_seconds": 2,
    }
    assert cells["exit=/thanks|touches=3"]["payment"]["orders"] == {"USD": 1}


def test_many_touches_are_more() -> None:
    cells = _cells(*((0, "view", "/") for _ in range(25)), (1, "pay", None))
    assert cells["exit=/|touches=more"]["payment"]["orders"] == {"USD": 1}
