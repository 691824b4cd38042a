"""Dead letters: the limit that stops a flood of them; dead letters sent again under their own source and time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from producers.dead_letters.header import HEADER, replayed_header
from producers.dead_letters.limit import DeadLetterLimit
from producers.ingest.verdicts import Scope
from producers.sink.port import SinkUnavailableError
from tests.support.collector import NOW, CollectorInMemory, event
from tests.support.rows import rows

BAD: dict[str, Any] = {"name": None}
DAY_MS = 86_400_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limited(tmp_path: Path, clock: Clock) -> CollectorInMemory:
    return CollectorInMemory(tmp_path, dead_letter_limit=DeadLetterLimit(3), now_ms=clock)


# The limit


def test_the_limit_opens_again_when_its_minute_is_over() -> None:
    limit = DeadLetterLimit(10)
    for at in range(10):
        limit.check("web", dead_letters=1, now_ms=NOW + at)
        limit.add("web", dead_letters=1, now_ms=NOW + at)
    with pytest.raises(SinkUnavailableError, match="'web' had 10 events rejected") as caught:
        limit.check("web", dead_letters=1, now_ms=NOW + 45_500)
    assert caught.value.retry_after_seconds == 15
    limit.check("web", dead_letters=0, now_ms=NOW + 45_500)
    limit.check("app", dead_letters=1, now_ms=NOW + 45_500)
    limit.check("web", dead_letters=1, now_ms=NOW + 60_000)


def test_a_request_alone_may_hold_more_than_the_limit() -> None:
    limit = DeadLetterLimit(10)
    limit.check("web", dead_letters=500, now_ms=NOW)
    limit.add("web", dead_letters=500, now_ms=NOW)
    with pytest.raises(SinkUnavailableError):
        limit.check("web", dead_letters=1, now_ms=NOW + 1)
    limit.check("web", dead_letters=500, now_ms=NOW + 60_000)


def test_processes_share_a_limit() -> None:
    limit = DeadLetterLimit(10).shared_by(4)
    limit.add("web", dead_letters=2, now_ms=NOW)
    with pytest.raises(SinkUnavailableError, match="the limit is 2"):
        limit.check("web", dead_letters=1, now_ms=NOW)
    DeadLetterLimit(0).shared_by(4).check("web", dead_letters=10**6, now_ms=NOW)


def test_zero_is_no_limit_and_a_clock_that_goes_back_opens_it() -> None:
    none = DeadLetterLimit(0)
    none.add("web", dead_letters=10**6, now_ms=NOW)
    none.check("web", dead_letters=10**6, now_ms=NOW)
    limit = DeadLetterLimit(1)
    limit.add("web", dead_letters=1, now_ms=NOW)
    limit.check("web", dead_letters=1, now_ms=NOW - 1)


async def test_a_source_that_sends_only_rubbish_is_told_to_wait_and_its_good_requests_pass(
    limited: CollectorInMemory, clock: Clock
) -> None:
    for number in range(3):
        assert (await limited.post(event(number, **BAD))).status_code == 200
    held = await limited.post([event(4), event(5, **BAD)])
    assert held.status_code == 503
    assert held.headers["retry-after"] == "60"
    assert "rejected list" in held.json()["detail"]
    assert (await limited.post(event(6))).status_code == 200
    assert (await limited.post(b"{", scope=Scope.SERVER)).status_code == 503  # a request that is refused whole
    assert (await limited.post(event(7, **BAD), scope=Scope.BROWSER)).status_code == 200  # another source
    assert len(limited.dead_letters()) == 4
    assert [one["id"] for one in limited.events()] == ["e-6"]
    assert limited.metric("dead_letters_held_total", source="source-server") == 2
    assert limited.metric("events_received_total") == limited.metric("events_total") == 5
    clock.now_ms += 60_000
    assert (await limited.post([event(4), event(5, **BAD)])).status_code == 200
    assert len(limited.dead_letters()) == 5


async def test_letters_that_were_not_written_do_not_count(limited: CollectorInMemory) -> None:
    limited.sink.failure = SinkUnavailableError("away", 2)
    for _ in range(5):
        assert (await limited.post(event(1, **BAD))).status_code == 503
    limited.sink.failure = None
    assert (await limited.post(event(1, **BAD))).status_code == 200


# Dead letters that are sent again


async def test_a_letter_sent_again_keeps_its_source_and_its_time(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path)
    then = NOW - 2 * DAY_MS
    answer = await collector.post(
        {"id": "e-1", "name": "click", "anonymous_id": "v1"},
        scope=Scope.HISTORICAL,
        headers={HEADER: replayed_header(then, "shop é;1")},
    )
    assert answer.json() == {"accepted": 1, "results": [{"id": "e-1", "status": "accepted"}]}
    [record] = collector.events()
    assert record["source"] == "shop é;1"
    assert record["received_at_ms"] == record["occurred_at_ms"] == then


async def test_the_skew_of_a_client_is_corrected_by_the_time_of_reception_then(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path)
    then = NOW - 2 * DAY_MS
    message = {
        "event": "Lead",
        "messageId": "m1",
        "anonymousId": "v1",
        "timestamp": "2024-12-30T12:00:00Z",  # the client's clock is two hours ahead of this
        "sentAt": "2024-12-30T12:00:10Z",
    }
    answer = await collector.post(
        message, "/v1/track", scope=Scope.HISTORICAL, headers={HEADER: replayed_header(then, "web")}
    )
    assert answer.json()["accepted"] == 1
    assert collector.events()[0]["occurred_at_ms"] == then - 10_000


async def test_rejected_again_is_a_letter_of_the_same_source(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path)
    answer = await collector.post(
        {"name": "click"}, scope=Scope.HISTORICAL, headers={HEADER: replayed_header(NOW - 5, "web")}
    )
    assert answer.json()["results"][0]["reason"] == "missing_id"
    [dead_letter] = collector.dead_letters()
    assert (dead_letter["source"], dead_letter["received_at_ms"]) == ("web", NOW - 5)


@rows("scope", [Scope.BROWSER, Scope.SERVER, None])
async def test_only_a_historical_key_may_send_letters_again(tmp_path: Path, scope: Scope | None) -> None:
    collector = CollectorInMemory(tmp_path)
    answer = await collector.post(event(), scope=scope, headers={HEADER: replayed_header(NOW, "web")})
    assert (answer.status_code, answer.json()["code"]) == ((401, "bad_key") if scope is None else (400, "not_allowed"))
    assert collector.events() == collector.dead_letters() == []  # it is a dead letter already


@rows("value", ["", "web", ";web", "x;web", "1;", "-1;web", "1;" + "w" * 65])
async def test_a_header_that_cannot_be_read_is_refused(tmp_path: Path, value: str) -> None:
    collector = CollectorInMemory(tmp_path)
    answer = await collector.post(event(), scope=Scope.HISTORICAL, headers={HEADER: value})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_time")
