"""Images as events: our pixel and RudderStack's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from producers.formats.pixel import GIF, nested
from producers.ingest.verdicts import Scope
from tests.support.collector import NOW, CollectorInMemory
from tests.support.rows import rows


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return CollectorInMemory(tmp_path)


async def get(collector: CollectorInMemory, path: str, **headers: str) -> Any:
    return await collector.request("GET", path, headers={"user-agent": "a mail program"} | headers)


async def test_an_image_without_a_trace_in_caches(collector: CollectorInMemory) -> None:
    key = collector.keys[Scope.BROWSER]
    answer = await get(
        collector, f"/pixel.gif?k={key}&e=impression&a=v1&i=m-1&p.campaign=spring&p.banner=%C3%BC1&t={NOW}"
    )
    assert answer.status_code == 200
    assert (answer.content, len(GIF)) == (GIF, 43)
    assert answer.headers["content-type"] == "image/gif"
    assert "no-store" in answer.headers["cache-control"]
    assert "set-cookie" not in answer.headers
    (event,) = collector.events()
    assert event == event | {
        "id": "m-1",
        "name": "impression",
        "occurred_at_ms": NOW,
        "source": "source-browser",
        "anonymous_id": "v1",
        "properties": {"campaign": "spring", "banner": "ü1"},
    }


GOOGLE = {"source": "google", "medium": "cpc", "click_id": "x", "click_id_type": "gclid"}


@rows(
    ("query", "expected"),
    [
        ("a=v1", {"name": "impression", "anonymous_id": "v1"}),
        ("event=Open&anonymous_id=v1&user_id=u1", {"name": "open", "anonymous_id": "v1", "user_id": "u1"}),
        ("name=Open&anonymousId=v1&userId=u1&messageId=m", {"name": "open", "id": "m", "user_id": "u1"}),
        ("c=c1", {"contact_id": "c1"}),
        ("u=1&t=2025-01-01T09:00:00Z", {"user_id": "1", "occurred_at_ms": NOW - 3_600_000}),
        ("u=1&t=then", {"user_id": "1", "occurred_at_ms": NOW}),
        ("u=1&t=5", {"user_id": "1", "occurred_at_ms": NOW}),
        (
            "u=1&utm_source=news&utm_campaign=may",
            {"properties": {"source": "news", "campaign": "may", "channel": "unassigned"}},
        ),
        ("u=1&gclid=x", {"properties": {**GOOGLE, "channel": "paid search"}}),
        ("u=1&p.channel=mail&gclid=x", {"properties": {**GOOGLE, "channel": "mail"}}),
        ("u=1&a=v1&a=v2", {"anonymous_id": "v1"}),
        ("u=1&&=x&p.=y&p.a=b+c&p.%C3%BC=%FF&p.empty=", {"properties": {"a": "b c", "ü": "\ufffd"}}),
    ],
)
async def test_names_of_parameters(collector: CollectorInMemory, query: str, expected: dict[str, Any]) -> None:
    answer = await get(collector, f"/pixel.gif?{query}&key={collector.keys[Scope.SERVER]}")
    assert answer.content == GIF
    (event,) = collector.events()
    assert event == event | expected


async def test_an_email_becomes_a_contact_and_the_page_is_context(collector: CollectorInMemory) -> None:
    page = "https://shop.example.com/?utm_source=ads"
    await get(collector, f"/pixel.gif?email=ann%40example.com&writeKey={collector.keys[Scope.SERVER]}", referer=page)
    (event,) = collector.events()
    assert len(event["contact_id"]) == 64
    assert event["context"] == {"page": {"url": page}}
    assert event["properties"] == {"source": "ads", "channel": "unassigned"}
    assert event["id"].startswith("pixel-")


@rows(
    ("query", "status", "code"),
    [
        ("e=open", 400, "missing_person"),
        ("a=null", 400, "missing_person"),
        ("a=" + "x" * 300, 400, "id_too_long"),
        ("a=1&e=" + "x" * 300, 400, "name_too_long"),
        ("a=1&p.x=" + "x" * 9_000, 400, "event_too_large"),
        ("&".join(f"p.x{n}=1" for n in range(200)), 400, "event_too_large"),
    ],
)
async def test_errors_are_json_and_dead_letters_without_the_key(
    collector: CollectorInMemory, query: str, status: int, code: str
) -> None:
    answer = await get(collector, f"/pixel.gif?k={collector.keys[Scope.SERVER]}&{query}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    (dead_letter,) = collector.dead_letters()
    assert dead_letter["payload"] == f"k=***&{query}"
    assert collector.metric("events_received_total") == collector.metric("events_total", outcome="rejected") == 1


@rows("query", ["a=1", "a=1&k=wrong"])
async def test_no_key_no_event(collector: CollectorInMemory, query: str) -> None:
    answer = await get(collector, f"/pixel.gif?{query}")
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_key")


async def test_a_dead_letter_can_be_posted(collector: CollectorInMemory) -> None:
    answer = await collector.post(b"k=***&a=1&e=open&i=m-2", "/pixel.gif")
    assert answer.content == GIF
    assert collector.events()[0]["id"] == "m-2"


async def test_rudderstacks_pixel_spells_a_message(collector: CollectorInMemory) -> None:
    key = collector.keys[Scope.BROWSER]
    answer = await get(
        collector,
        f"/pixel/v1/track?writeKey={key}&anonymousId=v1&event=Order%20Completed&properties.revenue=19.90"
        "&context.page.url=https%3A%2F%2Fexample.com%2F%3Fgclid%3D1&messageId=m-1",
    )
    assert answer.content == GIF
    answer = await get(collector, f"/pixel/v1/page?writeKey={key}&anonymousId=v1&name=Home&properties.path=%2F")
    assert answer.content == GIF
    track, page = collector.events()
    assert track == track | {"id": "m-1", "name": "order_completed", "anonymous_id": "v1"}
    assert track["properties"] == track["properties"] | {"value": "19.90", "channel": "paid search"}
    assert page["name"] == "page"
    assert page["properties"] == {"path": "/", "name": "Home"}


@rows(
    ("flat", "whole"),
    [
        ({"a.b": "1", "a.c": "2", "d": "3"}, {"a": {"b": "1", "c": "2"}, "d": "3"}),
        ({"a": "1", "a.b": "2"}, {"a": "1"}),
        ({"a.b": "2", "a": "1"}, {"a": {"b": "2"}}),
        ({"a..b": "1"}, {"a": {"": {"b": "1"}}}),
        ({"a.b.c.d.e.f.g.h": "1"}, {"a": {"b": {"c": {"d": {"e": {"f": {"g.h": "1"}}}}}}}),
    ],
)
def test_dotted_names(flat: dict[str, str], whole: dict[str, Any]) -> None:
    assert nested(flat) == whole
