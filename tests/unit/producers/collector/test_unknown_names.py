"""What no funnel looks at is accepted and warned of; answers that clients of vendors read stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

from producers.ingest.verdicts import Scope
from tests.support.collector import NOW, CollectorInMemory

KNOWN = {"click", "page_view"}


def event(number: int, name: str) -> dict[str, object]:
    return {"id": f"e-{number}", "name": name, "anonymous_id": "a", "occurred_at_ms": NOW}


async def test_names_that_no_funnel_looks_at_are_warned_of(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path, options={"known_names": KNOWN})
    sent = [event(1, "Clik"), event(2, "clik"), event(3, "click"), event(4, "weather"), event(5, "identify")]
    answer = (await collector.post(sent)).json()
    assert [each["status"] for each in answer["results"]] == ["accepted"] * 5
    told = "accepted, but no funnel looks at"
    assert answer["warnings"] == [
        {
            "name": "clik",
            "events": 2,
            "message": f"{told} clik (2 events; did you mean 'click'?)",
            "did_you_mean": "click",
        },
        {"name": "weather", "events": 1, "message": f"{told} weather (1 event)"},
    ]
    assert "warnings" not in (await collector.post([event(6, "click")])).json()


async def test_a_page_that_debugs_is_warned_and_clients_of_vendors_are_not(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path, options={"known_names": KNOWN})
    body = {"writeKey": collector.keys[Scope.BROWSER], "events": [event(1, "clik")]}
    for debug, names in ((True, ["clik"]), (False, [])):
        answer = await collector.post(json.dumps(body | {"debug": debug}).encode(), "/v1/browser", scope=None)
        assert [each["name"] for each in answer.json().get("warnings", [])] == names
    segment = {"event": "clik", "userId": "u1", "messageId": "m"}
    assert set((await collector.post(segment, "/v1/track")).json()) == {"success", "accepted", "results"}
