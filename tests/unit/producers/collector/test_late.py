"""Accepted, and too late to be counted: whoever can be told is told, and it is counted. History is received when it
occurred, in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from producers.importer.importer import Importer, Target
from producers.importer.lines import open_events
from producers.importer.mapping import Mapping
from producers.ingest.limits import Limits
from producers.ingest.verdicts import Scope
from tests.support.collector import NOW, CollectorInMemory

DAY = 86_400_000
LATE = NOW - 3 * DAY - 1
POSTHOG = {
    "api_key": "WRITE_KEY",
    "historical_migration": True,
    "batch": [
        {"event": "lead", "uuid": "h1", "distinct_id": "u1", "timestamp": "2024-01-15T10:00:00Z", "properties": {}},
        {"event": "lead", "uuid": "h2", "distinct_id": "u2", "timestamp": "2024-02-15T10:00:00Z", "properties": {}},
    ],
}
SEGMENT = {
    "sentAt": "2024-12-20T10:00:00Z",
    "batch": [
        {"type": "track", "event": "lead", "messageId": "1", "userId": "u", "timestamp": "2024-12-20T09:00:00Z"},
        {"type": "track", "event": "lead", "messageId": "2", "userId": "u"},
    ],
}
CLOUD = {"specversion": "1.0", "id": "1", "source": "s", "type": "lead", "subject": "u", "time": "2024-01-15T10:00:00Z"}


def native(at_ms: int, name: str = "lead") -> dict[str, Any]:
    return {"id": str(at_ms), "name": name, "user_id": "u", "occurred_at_ms": at_ms, "properties": {"value": 5}}


async def test_a_native_event_is_told_that_it_is_late(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path)
    answer = await collector.post([native(LATE), native(LATE + 1), native(LATE - 1, "ad_spend")])
    late, in_time, spend = answer.json()["results"]
    assert late == {"id": str(LATE), "status": "accepted", "late": True}
    assert "late" not in in_time
    assert "late" not in spend
    assert answer.json()["accepted"] == len(collector.events()) == 3
    assert collector.metric("events_late_total", source="source-server") == 1


async def test_the_largest_lateness_of_the_funnels_decides(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path, options={"limits": Limits(lateness_ms=30 * DAY)})
    assert "late" not in (await collector.post(native(LATE))).json()["results"][0]


async def test_other_formats_say_how_many(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path)
    assert (await collector.post(POSTHOG, "/batch/")).json() == {"status": "Ok", "late": 2}
    results = (await collector.post({**SEGMENT, "sentAt": None}, "/v1/batch")).json()["results"]
    assert [one.get("late", False) for one in results] == [True, False]
    cloud = await collector.post(CLOUD, "/v1/cloudevents", headers={"Content-Type": "application/cloudevents+json"})
    assert cloud.json()["results"][0]["late"] is True
    assert collector.metric("events_late_total") == 4


@pytest.mark.parametrize(
    ("path", "body", "times"),
    [
        ("/batch/", POSTHOG, [1_705_312_800_000, 1_707_991_200_000]),
        ("/batch/", {**POSTHOG, "historical_migration": False, "sent_at": "2024-06-01"}, [1_705_312_800_000] * 2),
        ("/v1/batch", SEGMENT, [1_734_685_200_000, NOW]),
        ("/v1/cloudevents", CLOUD, [1_705_312_800_000]),
    ],
)
async def test_a_historical_key_states_the_reception_in_every_format(
    tmp_path: Path, path: str, body: dict[str, Any], times: list[int]
) -> None:
    """A wrong or old sending time corrects nothing."""
    collector = CollectorInMemory(tmp_path)
    headers = {"Content-Type": "application/cloudevents+json"} if "cloud" in path else {}
    answer = await collector.post(body, path, scope=Scope.HISTORICAL, headers=headers)
    assert answer.status_code == 200, answer.text
    events = collector.events()
    assert events[0]["occurred_at_ms"] == times[0]
    assert events[-1]["occurred_at_ms"] in (times[-1], 1_707_991_200_000)
    assert all(one["received_at_ms"] == one["occurred_at_ms"] for one in events)
    assert "late" not in answer.text


async def test_an_import_counts_what_the_collector_calls_late(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path)
    file = tmp_path / "e.jsonl"
    file.write_bytes(b"\n".join(orjson.dumps(native(at)) for at in (LATE, LATE + 1)))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=collector.app))
    target = Target("http://c", collector.keys[Scope.SERVER])
    async with client:
        importer = Importer(
            open_events(str(file), mapping=Mapping(), refused=print), target, tmp_path, client, on_refused=print
        )
        progress = await importer.run()
    assert (progress.accepted, progress.late) == (2, 1)
