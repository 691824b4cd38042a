"""One policy for all who send to a collector: what is tried again, after which pauses, until when."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from producers.client.collector import TRIED_AGAIN, Answer, CollectorClient, CollectorRefusedError, RetryPolicy
from schemas.errors import TryAgainError
from tests.support.rows import rows

URL = "http://c/v1/events"
OK = httpx.Response(200, json={"accepted": 1, "results": [{"id": "a", "status": "accepted"}]})


class World:
    """A collector that answers in turn, and time that passes only in pauses."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def post(self, policy: RetryPolicy, key: str | None = "key", **options: Any) -> Answer:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as client:
            collector = CollectorClient(client, key, policy, sleep=self.sleep, clock=lambda: self.now, **options)
            return await collector.post_until_answered(URL, b"{}", headers={"Content-Type": "application/json"})


@rows("status", sorted(TRIED_AGAIN))
async def test_not_now_is_tried_again(status: int) -> None:
    world = World(httpx.Response(status), httpx.ConnectError("gone"), httpx.ReadTimeout("slow"), OK)
    answer = await world.post(RetryPolicy(100))
    assert (answer.status, len(world.requests)) == (200, 4)
    assert {request.content for request in world.requests} == {b"{}"}
    assert {request.headers["x-write-key"] for request in world.requests} == {"key"}


@rows("status", [*sorted(set(range(400, 600)) - TRIED_AGAIN), 301, 302, 204])
async def test_every_other_status_is_an_answer(status: int) -> None:
    world = World(httpx.Response(status, json={"code": "no", "message": "so", "detail": "it is"}))
    answer = await world.post(RetryPolicy(100))
    assert (answer.status, answer.code, answer.explanation) == (status, "no", "so it is")
    assert (len(world.requests), world.pauses) == (1, [])
    with pytest.raises(CollectorRefusedError, match=f"{URL} answered {status}: so it is"):
        answer.results(URL)


@rows(("first", "longest"), [(0.2, 10.0), (0.05, 2.0), (0.2, 30.0)])
async def test_pauses_double_up_to_the_longest(first: float, longest: float) -> None:
    world = World(httpx.Response(503))
    with pytest.raises(TryAgainError):
        await world.post(RetryPolicy(600, first_pause_seconds=first, longest_pause_seconds=longest))
    expected = [min(first * 2**index, longest) for index in range(len(world.pauses))]
    assert all(0.8 * at <= pause <= 1.2 * at for pause, at in zip(world.pauses, expected, strict=True))
    assert len({round(pause / at, 3) for pause, at in zip(world.pauses, expected, strict=True)}) > 3  # not in step


@rows(("asked", "most", "waited"), [("7", 60.0, 7.0), ("900", 60.0, 60.0), ("soon", 60.0, None)])
async def test_the_pause_that_a_server_asks_for_is_bounded(asked: str, most: float, waited: float | None) -> None:
    world = World(httpx.Response(429, headers={"Retry-After": asked}), OK)
    await world.post(RetryPolicy(100, longest_asked_seconds=most))
    assert world.pauses == [waited] if waited else world.pauses[0] < 0.25


async def test_patience_ends_and_the_text_says_why_and_what_to_do() -> None:
    world = World(httpx.Response(503, text="Kafka is away"))
    with pytest.raises(TryAgainError) as caught:
        await world.post(RetryPolicy(60, advice="start it again"))
    assert str(caught.value) == f"{URL} took nothing for 60 s (status 503 Kafka is away); start it again"
    assert 60 <= world.now < 60 + 12


async def test_a_check_ends_it_at_once() -> None:
    world, left = World(httpx.ConnectError("gone")), [2]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("the stack is gone")

    with pytest.raises(RuntimeError, match="the stack is gone"):
        await world.post(RetryPolicy(600), check=check)
    assert len(world.requests) == 2


async def test_each_pause_is_announced_with_its_reason() -> None:
    said: list[str] = []
    world = World(httpx.ConnectError("refused"), httpx.Response(502), OK)
    await world.post(RetryPolicy(600), on_wait=said.append)
    assert said == ["no connection: refused", "status 502"]


async def test_a_cancelled_sender_stops() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(World(httpx.Response(503)))) as client:
        collector = CollectorClient(client, None, RetryPolicy(600, first_pause_seconds=60.0))
        task = asyncio.ensure_future(collector.post_until_answered(URL, b"", headers={}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@rows("body", [b"", b"<html>", b"[1]", b'{"ok": true}', b'{"results": 3}'])
async def test_a_200_that_is_no_collectors_answer_is_said_to_be_none(body: bytes) -> None:
    answer = await World(httpx.Response(200, content=body)).post(RetryPolicy(10))
    with pytest.raises(CollectorRefusedError, match="answered 200"):
        answer.results(URL)


async def test_without_a_key_none_is_sent() -> None:
    world = World(OK)
    answer = await world.post(RetryPolicy(10), key=None)
    assert "x-write-key" not in world.requests[0].headers
    assert answer.results(URL) == [{"id": "a", "status": "accepted"}]
