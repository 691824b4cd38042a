"""Letters on their way through a collector again: tried until it answers, counted by verdict, resumed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from producers.client.collector import CollectorRefusedError
from producers.dead_letters import resend
from producers.dead_letters.reader import DeadLetterReader
from producers.dead_letters.record import DeadLetter
from producers.dead_letters.replay import DeadLetterFilter, StoredDeadLetter
from producers.dead_letters.resend import Resender, progress_file
from schemas.errors import TryAgainError
from tests.support.rows import rows


def dead_letter(offset: int, partition: int = 0, **members: Any) -> StoredDeadLetter:
    values: dict[str, Any] = {"reason": "missing_person", "detail": "", "source": "web", "route": "/v1/events"}
    values |= {"received_at_ms": offset, "size": 2, "payload": f'{{"id":"e{partition}-{offset}"}}'} | members
    return StoredDeadLetter(partition, offset, DeadLetter(**values))


class Log:
    """Letters of two partitions, ten in each."""

    def __init__(self, **members: Any) -> None:
        self._members = members

    async def read(self, start: Mapping[int, int]) -> AsyncIterator[list[StoredDeadLetter]]:
        for partition in (0, 1):
            yield [
                dead_letter(offset, partition, **self._members) for offset in range(start.get(partition, 0), 10)
            ] or []


def accepted(request: httpx.Request) -> httpx.Response:
    number = json.loads(request.content)["id"]
    return httpx.Response(200, json={"accepted": 1, "results": [{"id": number, "status": "accepted"}]})


class Collector:
    """Answers in turn as it is told, in the end with 200; remembers ids."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.ids: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.ids.append(json.loads(request.content)["id"])
        return accepted(request)


async def run(
    collector: Callable[[httpx.Request], httpx.Response], directory: Path, log: Log | None = None, **options: Any
) -> resend.Outcome:
    async with httpx.AsyncClient(transport=httpx.MockTransport(collector)) as client:
        options["sleep"] = lambda seconds: asyncio.sleep(0)
        resender = Resender(
            "http://c", "key", client, options.pop("wanted", DeadLetterFilter()), directory / "p.json", **options
        )
        return await resender.run(cast(DeadLetterReader, log or Log()))


async def test_every_dead_letter_is_sent_once_and_the_next_run_has_nothing_to_do(tmp_path: Path) -> None:
    collector = Collector()
    outcome = await run(collector, tmp_path)
    assert (outcome.sent, outcome.accepted) == (20, 20)
    assert len(set(collector.ids)) == 20
    assert json.loads((tmp_path / "p.json").read_text()) == {"0": 10, "1": 10}
    assert (await run(Collector(), tmp_path)).sent == 0


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_an_answer_that_says_later_is_tried_again(tmp_path: Path, status: int) -> None:
    collector = Collector(httpx.Response(status, json={"code": "unavailable"}), httpx.ConnectError("gone"))
    assert (await run(collector, tmp_path)).accepted == 20


async def test_patience_ends_and_the_same_command_goes_on(tmp_path: Path) -> None:
    taken: list[str] = []

    def away_after_eight(request: httpx.Request) -> httpx.Response:
        if len(taken) >= 8:
            return httpx.Response(503)
        taken.append(json.loads(request.content)["id"])
        return accepted(request)

    with pytest.raises(TryAgainError, match="goes on here"):
        await run(away_after_eight, tmp_path, patience_seconds=0.01)
    collector = Collector()
    assert (await run(collector, tmp_path)).sent == 12
    assert not set(collector.ids) & set(taken)


@rows("code", ["bad_key", "revoked_key", "not_allowed", "wrong_origin"])
async def test_a_wrong_key_ends_it_at_once(tmp_path: Path, code: str) -> None:
    def refuses(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"code": code, "message": "no"})

    with pytest.raises(CollectorRefusedError, match="scope historical"):
        await run(refuses, tmp_path)
    assert not (tmp_path / "p.json").exists()


async def test_verdicts_are_counted_by_what_they_say(tmp_path: Path) -> None:
    results = [{"status": "accepted"}, {"status": "deduplicated"}, {"status": "rejected", "reason": "too_deep"}]
    collector = Collector(
        httpx.Response(200, json={"results": results}),
        httpx.Response(400, json={"code": "malformed_json"}),
        httpx.Response(404, text="nothing"),
    )
    outcome = await run(collector, tmp_path, limit=3)
    assert outcome.as_document() == {
        "sent": 3,
        "accepted": 1,
        "deduplicated": 1,
        "rejected": {"too_deep": 1, "malformed_json": 1, "404": 1},
        "skipped": {},
    }


async def test_a_dry_run_sends_and_writes_nothing(tmp_path: Path) -> None:
    collector = Collector()
    outcome = await run(collector, tmp_path, is_dry=True)
    assert (outcome.sent, collector.ids, (tmp_path / "p.json").exists()) == (20, [], False)


async def test_a_limit_stops_exactly_and_the_next_run_takes_the_rest(tmp_path: Path) -> None:
    first, second = Collector(), Collector()
    assert (await run(first, tmp_path, limit=3)).sent == 3
    assert (await run(second, tmp_path)).sent == 17
    assert len(set(first.ids + second.ids)) == 20


async def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    outcome = await run(Collector(), tmp_path, Log(reason="bad_signature"))
    assert outcome.sent == 0
    assert sum(outcome.skipped.values()) == 20
    named = DeadLetterFilter(frozenset({"bad_signature"}))
    assert (await run(Collector(), tmp_path / "x", Log(reason="bad_signature"), wanted=named)).sent == 20


def test_progress_is_named_by_all_that_decides_what_is_sent(tmp_path: Path) -> None:
    names = {
        progress_file(tmp_path, url=url, space=space, chosen=chosen)
        for url in ("http://a", "http://b")
        for space in ("main", "other")
        for chosen in (["x"], ["y"], [None])
    }
    assert len(names) == 12
    assert progress_file(tmp_path, url="http://a/", space="main", chosen=["x"]) in names
