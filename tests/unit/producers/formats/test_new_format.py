"""A format is one value: one that nobody has heard of, added by one value and one row, works from end to end: paths,
keys, verdicts, answer, pages, dead letters that are sent again."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from producers.dead_letters.replay import decode_dead_letter, replay_request
from producers.formats.formats import FORMATS
from producers.formats.port import BaseEndpoint, Format, Page, Reading, Request, RoutePath
from producers.formats.translating import read_each
from producers.http.body import split_array
from producers.http.messages import JSON, Answer
from producers.ingest.checks import Ingest
from producers.ingest.event import Event, Members
from producers.ingest.verdicts import Scope, Sender
from tests.support.collector import TOPICS, CollectorInMemory
from tests.support.rows import rows

WRAPPED = b"acme:"


class Acme(BaseEndpoint):
    """An array of events behind a word."""

    paths = (RoutePath("POST", "/v1/acme", is_shown_at_start=True), RoutePath("POST", "/acme/*", "/v1/acme"))
    id_member = "uid"
    dead_letter_headers = (b"x-acme-shop",)

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    def body_of(self, request: Request) -> bytes:
        return request.body.removeprefix(WRAPPED)

    def read(self, request: Request, sender: Sender) -> Reading:
        shop = request.headers[b"x-acme-shop"].decode()

        def translate(members: Members, raw: bytes, number: int) -> Event:
            properties = {"shop": shop, "value": members.get("sum")}
            return Event(members.get("uid"), members.get("what"), user_id=members.get("who"), properties=properties)

        elements = split_array(request.body, 100) if request.body[:1] == b"[" else [request.body]
        return read_each(self._ingest, elements, request=request, sender=sender, translate=translate, id_member="uid")

    def answer(self, reading: Reading) -> Answer:
        return Answer(200, b'{"thanks":%d}' % len(reading.verdicts), (JSON,))


async def _settings(request: Request) -> Answer:
    return Answer(200, b'{"sampling":1}', (JSON,))


ACME = Format(name="acme", endpoints=lambda ingest: (Acme(ingest),), pages=(Page("GET", "/acme/settings", _settings),))
EVENTS = [{"uid": "a1", "what": "click", "who": "ann", "sum": 2.5}, {"uid": "a2", "who": "bob"}, {"what": "click"}]
SHOP = {"X-Acme-Shop": "s1"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CollectorInMemory:
    """A collector with one more row in the table."""
    monkeypatch.setitem(FORMATS, ACME.name, ACME)
    return CollectorInMemory(tmp_path)


@rows("path", ["/v1/acme", "/v1/acme/", "/acme/anything"])
async def test_its_events_are_taken(collector: CollectorInMemory, path: str) -> None:
    answer = await collector.post(WRAPPED + orjson.dumps(EVENTS), path, headers=SHOP)
    assert (answer.status_code, answer.json()) == (200, {"thanks": 3})
    [event] = collector.events()
    assert (event["id"], event["name"], event["user_id"]) == ("a1", "click", "ann")
    assert event["properties"] == {"shop": "s1", "value": 2.5}
    assert [dead_letter["route"] for dead_letter in collector.dead_letters()] == ["/v1/acme"] * 2


async def test_it_asks_for_a_key_and_shows_its_metrics_from_the_start(collector: CollectorInMemory) -> None:
    assert collector.metric("requests_total", route="/v1/acme", code="200") == 0
    assert (await collector.post(WRAPPED + b"[]", "/v1/acme", headers=SHOP, scope=None)).status_code == 401


async def test_its_page_answers_get_and_head(collector: CollectorInMemory) -> None:
    assert (await collector.request("GET", "/acme/settings")).json() == {"sampling": 1}
    assert (await collector.request("HEAD", "/acme/settings")).status_code == 200
    assert (await collector.request("HEAD", "/v1/acme")).status_code == 405


async def test_its_dead_letters_are_sent_again_with_their_headers_and_an_id(collector: CollectorInMemory) -> None:
    await collector.post(WRAPPED + orjson.dumps([{"what": "click", "who": "ann"}]), "/v1/acme", headers=SHOP)
    [record] = collector.sink.records(TOPICS.rejected)
    dead_letter = decode_dead_letter(1, 5, value=record.value)
    assert dead_letter is not None
    request = replay_request(dead_letter)
    for _ in range(2):
        answer = await collector.post(request.body, request.path, headers=request.headers, scope=Scope.HISTORICAL)
        assert answer.json()["accepted"] == 1, answer.text
    assert {(event["id"], event["properties"]["shop"]) for event in collector.events()} == {("letter-1-5", "s1")}
