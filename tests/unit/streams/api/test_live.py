"""The stream of events: what is watched is what the API answers, sent when it changes; bounds; the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from streams.api.live import MAX_STREAMS, MAX_WATCHES, LiveStreams
from streams.report.services.pulse import Pulse
from streams.store.port import StoreUnavailableError
from streams.web.pages import PageAnswer, PageRequest, StreamedAnswer
from tests.support.served_reports import served
from tests.support.waiting import LIMIT

PULSE: Pulse = {"now_ms": 1, "received_ms": None, "watermark_ms": None, "events": {}}


class Numbers:
    """A page whose answer changes when told to; counts how often it is made."""

    def __init__(self) -> None:
        self.number = 1
        self.made = 0
        self.gone = False
        self.making = asyncio.Event()

    async def made_again(self, times: int) -> None:
        """Wait until the answer was made so many times more."""
        for _ in range(times):
            self.making.clear()
            await self.making.wait()

    async def page(self, request: PageRequest) -> PageAnswer:
        self.made += 1
        self.making.set()
        return PageAnswer(json.dumps({"number": self.number, "query": request.query}).encode())

    async def pulse(self) -> Pulse:
        if self.gone:
            raise StoreUnavailableError("away")
        return PULSE

    def streams(self) -> LiveStreams:
        return LiveStreams({"/v1/numbers": self.page, "/v1/x.csv": self.page}, self.pulse, period_seconds=0.01)


async def opened(streams: LiveStreams, query: str = "watch=/v1/numbers") -> AsyncIterator[bytes]:
    answer = await streams.page(PageRequest(query))
    assert isinstance(answer, StreamedAnswer)
    return answer.pieces


async def next_answer(pieces: AsyncIterator[bytes]) -> dict[str, Any]:
    async for piece in pieces:
        if piece.startswith(b"event: answer\ndata: "):
            document: dict[str, Any] = json.loads(piece.removeprefix(b"event: answer\ndata: "))
            return document
    raise AssertionError("the stream ended")


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with served() as url, httpx.Client(base_url=url, timeout=LIMIT) as client:
        yield client


def test_a_stream_sends_what_the_api_answers_and_how_fresh_it_is(client: httpx.Client) -> None:
    watches = ["/v1/summaries?funnel=shop&dim=channel", "/v1/reports?funnel=shop&grain=nonsense"]
    expected = [client.get(watch) for watch in watches]
    events: list[tuple[str, Any]] = []
    with client.stream("GET", "/v1/live", params={"watch": watches}) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.iter_lines()
        while len(events) < 3:
            line = next(lines)
            if line.startswith("event: "):
                events.append((line.removeprefix("event: "), json.loads(next(lines).removeprefix("data: "))))
    assert [name for name, _ in events] == ["pulse", "answer", "answer"]
    pulse = events[0][1]
    assert pulse["events"] == {"shop": client.get("/v1/reports?funnel=shop").json()["input"]["accepted"], "other": 0}
    assert pulse["watermark_ms"] < pulse["received_ms"] <= pulse["now_ms"]
    for number, (_, document) in enumerate(events[1:]):
        assert document == {"watch": number, "status": expected[number].status_code, "answer": expected[number].json()}
    assert [document["status"] for _, document in events[1:]] == [200, 400]


def test_a_summary_of_all_time_is_the_total_of_the_report(client: httpx.Client) -> None:
    query = {"funnel": "shop", "dim": "channel"}
    summary = client.get("/v1/summaries", params=query).json()
    report = client.get("/v1/reports", params={**query, "grain": "total"}).json()
    assert {cell["dim"]: cell["counters"] for cell in summary["cells"]} == report["counters"]["total"]["all"]
    rates = {
        each.pop("dim"): {key: each[key] for key in each if key not in ("grain", "bucket")} for each in report["rates"]
    }
    assert {cell["dim"]: cell["rates"] for cell in summary["cells"]} == rates
    days = client.get("/v1/summaries", params={"funnel": "shop", "since": "2025-01-01", "dim": ""}).json()
    assert days["cells"][0]["counters"]["click"]["entries"] == 120


def test_a_head_request_of_the_stream_ends(client: httpx.Client) -> None:
    answer = client.head("/v1/live", params={"watch": "/v1/funnels"})
    assert (answer.status_code, answer.content) == (200, b"")


async def test_an_answer_is_sent_again_only_when_it_has_changed() -> None:
    numbers = Numbers()
    pieces = await opened(numbers.streams())
    assert (await next_answer(pieces))["answer"]["number"] == 1
    asking = asyncio.create_task(next_answer(pieces))
    await numbers.made_again(3)
    assert not asking.done()
    numbers.number = 2
    assert (await asking)["answer"]["number"] == 2


async def test_readers_of_one_address_share_its_answer() -> None:
    numbers = Numbers()
    streams = LiveStreams({"/v1/numbers": numbers.page}, numbers.pulse, period_seconds=3600)
    for _ in range(3):
        await next_answer(await opened(streams))
    assert numbers.made == 1
    assert (await next_answer(await opened(streams, "watch=/v1/numbers?x%3D1")))["answer"]["query"] == "x=1"
    assert numbers.made == 2


async def test_a_store_that_is_away_sends_no_pulse_and_does_not_end_the_stream() -> None:
    numbers = Numbers()
    numbers.gone = True
    pieces = await opened(numbers.streams())
    seen = [await anext(pieces) for _ in range(3)]
    assert seen[1].startswith(b":")
    assert b"event: answer" in seen[2]


async def test_streams_end_with_the_server() -> None:
    streams = Numbers().streams()
    pieces = await opened(streams)
    await next_answer(pieces)
    streams.stop()
    assert [piece async for piece in pieces] == []


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "watch 1 to"),
        ("watch=/v1/nothing", "cannot be watched; there are: /v1/numbers"),
        ("watch=/v1/x.csv", "cannot be watched"),
        ("watch=http://example.com/v1/numbers", "cannot be watched"),
        ("watch=/v1/numbers&" * (MAX_WATCHES + 1), "watch 1 to"),
        ("what=/v1/numbers", "no parameter"),
    ],
)
async def test_what_cannot_be_watched_is_said(query: str, text: str) -> None:
    answer = await Numbers().streams().page(PageRequest(query))
    assert isinstance(answer, PageAnswer)
    assert (answer.status, text in answer.body.decode()) == (400, True)


async def test_one_stream_too_many_is_refused_until_one_ends() -> None:
    streams = Numbers().streams()
    open_ones = [await opened(streams) for _ in range(MAX_STREAMS)]
    for pieces in open_ones:
        await anext(pieces)
    answer = await streams.page(PageRequest("watch=/v1/numbers"))
    assert isinstance(answer, PageAnswer)
    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    await open_ones[0].aclose()  # type: ignore[attr-defined]
    assert isinstance(await streams.page(PageRequest("watch=/v1/numbers")), StreamedAnswer)
