"""At the doors: what machines send is stored as theirs, is counted beside, and no funnel takes it for a person's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from producers.access.keys import KeyOptionError, create_key
from producers.ingest.verdicts import Scope
from tests.support.collector import CollectorInMemory
from tests.support.rows import rows

PERSON = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
EVENT = {"id": "e", "name": "page_view", "anonymous_id": "v", "context": {"page": {"url": "https://shop.example/"}}}
TRACK = {"event": "x", "anonymousId": "v", "messageId": "m"}


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return CollectorInMemory(tmp_path)


@rows(
    ("path", "body", "scope", "agent", "traffic"),
    [
        ("/v1/browser", {"events": [EVENT]}, Scope.BROWSER, PERSON, None),
        ("/v1/browser", {"events": [EVENT]}, Scope.BROWSER, BOT, "bot"),
        ("/v1/browser", {"events": [EVENT]}, Scope.BROWSER, "", "bot"),
        ("/v1/events", EVENT, Scope.BROWSER, BOT, "bot"),
        ("/v1/events", EVENT, Scope.SERVER, BOT, None),
        ("/v1/track", TRACK, Scope.BROWSER, "okhttp/4.9.1", None),
        ("/v1/track", {**TRACK, "context": {"userAgent": BOT}}, Scope.SERVER, "axios/1.7", "bot"),
        ("/v1/track", {**TRACK, "properties": {"traffic": "canary"}}, Scope.SERVER, "axios/1.7", "canary"),
    ],
)
async def test_the_class_of_what_comes_in(
    tmp_path: Path, path: str, body: dict[str, Any], scope: Scope, agent: str, traffic: str | None
) -> None:
    collector = CollectorInMemory(tmp_path)
    answer = await collector.post(body, path, scope=scope, headers={"user-agent": agent})
    assert answer.status_code == 200, answer.text
    (event,) = collector.events()
    assert event.get("properties", {}).get("traffic") == traffic
    of_machines = 0 if traffic is None else 1
    labels = {"source": event["source"], "traffic": traffic or "bot"}
    assert (collector.metric("events_by_machines_total", **labels) or 0) == of_machines


async def test_a_dead_letter_of_a_machine_stays_one_when_it_is_sent_again(collector: CollectorInMemory) -> None:
    await collector.post({"events": [{"id": "e"}]}, "/v1/browser", scope=Scope.BROWSER, headers={"user-agent": BOT})
    (dead_letter,) = collector.dead_letters()
    assert dead_letter["headers"] == {"user-agent": BOT}


async def test_a_key_of_a_canary_marks_what_is_sent_with_it(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path, browser={"traffic": "staff"})
    await collector.post(EVENT, scope=Scope.BROWSER, headers={"user-agent": BOT})
    assert collector.events()[0]["properties"]["traffic"] == "staff"
    with pytest.raises(KeyOptionError, match="--traffic cat is none; write one of human bot"):
        create_key(tmp_path / "k.json", source="x", scope=Scope.SERVER, created_at="", traffic="cat")


async def test_bytes_of_money_stay_when_a_class_takes_the_place_of_another(collector: CollectorInMemory) -> None:
    raw = orjson.dumps(EVENT | {"properties": {"traffic": "human"}}).replace(b'"human"', b'"human","value":19.990')
    await collector.post(raw, scope=Scope.BROWSER, headers={"user-agent": BOT})
    value = collector.sink.records("funnelcast.t.events")[0].value
    assert b'"value":19.990' in value
    assert orjson.loads(value)["properties"]["traffic"] == "bot"
