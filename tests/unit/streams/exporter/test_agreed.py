"""The times that stages give, as metrics: they say what `report --sla` says of the same day."""

from __future__ import annotations

from schemas.counters import Grain
from schemas.funnel.load import parse_funnel
from schemas.times import DAY_MS, HOUR_MS
from streams.exporter.agreed import agreed_of
from streams.report.document.question import ReportQuestion
from streams.report.questions.sla import Sla
from streams.report.services.sla import report_sla
from tests.support.processing import counted_reader
from tests.support.shop import shop_event

DESK = parse_funnel("""
name: desk
conversion_window: 30d
stages:
  - {name: lead, on: [lead], stalled_after: 4h}
  - {name: call, on: [call]}
lost: [{on: [gone]}]
""")
START = 20_089 * DAY_MS


async def test_an_entry_that_was_lost_in_time_and_came_back_counts_once() -> None:
    sent = [("lead", 1, 1), ("gone", 1, 2), ("call", 1, 3), ("lead", 2, 1), ("lead", 3, 1), ("call", 3, 2)]
    events = [shop_event(name, person, START + hour * HOUR_MS, {}) for name, person, hour in sent]
    now_ms = START + DAY_MS + 4 * HOUR_MS
    reader = await counted_reader(DESK, sorted(events, key=lambda event: event["received_at_ms"]), now_ms=now_ms)
    view = await reader.view(0, DESK.funnel_id, grains=[Grain.HOUR])
    assert view is not None
    (answer,) = agreed_of(DESK, await reader.registers(DESK.funnel_id), hours=view.cells, watermark_ms=now_ms)
    (cell,) = answer["cells"]
    assert (cell["kept"], cell["breached"], cell["lost"]) == (1, 1, 1)
    question = ReportQuestion.parse(DESK, {}, now_ms=now_ms)
    document = await report_sla(reader, question, slas=Sla.parse_all(DESK, "lead=4h"), now_ms=now_ms)
    assert document["sla"] == [answer]
