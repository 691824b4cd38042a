"""Agreed times: kept, breached and pending by hand, per manager, as the hours go by."""

from __future__ import annotations

from typing import Any, Unpack

import pytest
from rich.console import Console

from schemas.funnel.load import parse_funnel
from streams.report.document.question import QuestionError, QuestionTexts, ReportQuestion
from streams.report.questions.sla import Sla, SlaCell
from streams.report.services.sla import report_sla
from streams.report.tables.sla import render_sla
from tests.support.processing import counted_reader
from tests.support.shop import shop_event

FUNNEL = parse_funnel(
    """
name: desk
conversion_window: 30d
stages:
  - {name: lead, on: [lead]}
  - {name: call, on: [call]}
  - {name: offer, on: [offer]}
lost: [{on: [gone]}]
dimensions: [{name: manager, attribution: stage}]
"""
)
START = 1_735_689_600_000
"""2025-01-01T00:00Z."""
HOUR = 3_600_000


def at(name: str, number: int, hours: float, manager: str = "ann") -> dict[str, Any]:
    return shop_event(name, number, START + int(hours * HOUR), {"manager": manager})


EVENTS = [
    *(at("lead", 1, 0.5), at("call", 1, 1)),  # after half an hour
    *(at("lead", 2, 0.5), at("call", 2, 9)),  # after more than eight
    *(at("lead", 3, 0.5), at("gone", 3, 1)),  # lost within the hour
    at("lead", 4, 0.5, "bob"),  # never
    *(at("lead", 5, 9.2), at("offer", 5, 9.4)),  # straight to the offer
    at("lead", 6, 9.3),  # still has time
]


async def asked(text: str, hours: float, **texts: Unpack[QuestionTexts]) -> list[list[SlaCell]]:
    now_ms = START + int(hours * HOUR)
    events = sorted(EVENTS, key=lambda event: int(event["received_at_ms"]))
    reader = await counted_reader(FUNNEL, events, now_ms=now_ms + 60_000)
    question = ReportQuestion.parse(FUNNEL, texts, now_ms=now_ms)
    document = await report_sla(reader, question, slas=Sla.parse_all(FUNNEL, text), now_ms=now_ms)
    Console(quiet=True).print(render_sla(document))
    return [answer["cells"] for answer in document["sla"]]


def numbers(cell: SlaCell) -> tuple[int, int, int, int]:
    return cell["kept"], cell["breached"], cell["pending"], cell["lost"]


async def test_kept_breached_pending_and_lost() -> None:
    ((cell,), (to_call,)) = await asked("lead=4h,lead->call=4h", 9.5)
    assert numbers(cell) == (2, 2, 1, 1)
    assert cell["rate"] is not None
    assert (cell["rate"]["numerator"], cell["rate"]["denominator"]) == (2, 4)
    assert numbers(to_call) == (1, 2, 1, 1)
    assert (cell["elsewhere"], to_call["elsewhere"]) == (0, 1)  # an offer is no call, and nobody was late with one


async def test_an_entry_that_was_lost_in_time_and_came_back_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    back = [at("lead", 7, 0.5), at("gone", 7, 1), at("call", 7, 2)]  # lost in time, then called in time
    late = [at("lead", 8, 0.5), at("gone", 8, 1), at("call", 8, 7)]  # lost in time, called when it was over
    gone = [at("lead", 9, 0.5), at("gone", 9, 6), at("call", 9, 7)]  # lost when the time was over
    monkeypatch.setattr("tests.unit.streams.report.questions.test_sla.EVENTS", [*back, *late, *gone])
    ((cell,),) = await asked("lead=4h", 30)
    assert numbers(cell) == (0, 1, 0, 2)
    assert cell["rate"] is not None
    assert cell["rate"]["rate"] == 0


async def test_who_went_elsewhere_when_the_time_was_over_has_breached() -> None:
    ((cell,),) = await asked("lead->offer=1h", 30)
    assert (*numbers(cell), cell["elsewhere"]) == (1, 3, 0, 1, 1)  # the call after eight hours is late


async def test_what_was_pending_is_breached_when_its_hour_is_old_enough() -> None:
    assert [numbers((await asked("lead=4h", hours))[0][0]) for hours in (13.9, 14)] == [(2, 2, 1, 1), (2, 3, 0, 1)]


async def test_per_manager_those_with_most_breaches_first() -> None:
    (cells,) = await asked("lead=1h", 30, dim="manager")
    assert [(cell["dim"], *numbers(cell)) for cell in cells] == [
        ("", 2, 3, 0, 1),
        ("manager=ann", 2, 2, 0, 1),
        ("manager=bob", 0, 1, 0, 0),
    ]
    (cells,) = await asked("lead=1h", 30, dim="manager=bob")
    assert [cell["dim"] for cell in cells] == ["", "manager=bob"]


async def test_times_of_a_day_and_more_go_by_days() -> None:
    assert numbers((await asked("lead=1d", 47))[0][0]) == (3, 0, 2, 1)
    assert numbers((await asked("lead=1d", 48))[0][0]) == (3, 2, 0, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lead", "write a stage and a time"),
        ("led=4h", "did you mean 'lead'"),
        ("offer=4h", "is no stage here; write lead, call"),
        ("call->lead=4h", "is no stage here; write offer"),
        ("lead=4x", "is not a duration"),
        ("lead=5h", "10s, 1m, 5m, 15m, 1h, 4h, 12h"),
    ],
)
def test_what_cannot_be_answered_is_refused(text: str, says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        Sla.parse_all(FUNNEL, text)
