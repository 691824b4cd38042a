"""A sender: each change once and signed, to a real server, in a person's order, tried again and given up."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import standardwebhooks

from schemas.times import DAY_MS
from streams.journeys.inbox import KNOWN_DAYS, Change, Inbox
from streams.journeys.sender import PAUSES_SECONDS, SecretError, WebhookSender, parse_secret
from streams.journeys.wanted import WIN_BACK, Wanted
from tests.support.waiting import LIMIT

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NOW_MS = 1_735_689_600_000


def change(number: int, person: str = "u:ann") -> Change:
    document = {"id": f"c{number}", "person": person, "funnel": "deals", "change": "abandoned", "was": "open"}
    return Change(f"c{number}", person, json.dumps(document).encode())


class Receiver(HTTPServer):
    """Answers with the next of `answers`, the last one again and again."""

    def __init__(self, answers: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.got: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(server.answers[min(len(server.got), len(server.answers)) - 1])
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver([200])
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(LIMIT)


def taken(inbox: Inbox, *changes: Change, next_offset: int = 1, now_ms: int = NOW_MS) -> None:
    inbox.take(0, next_offset, changes=changes, now_ms=now_ms)


async def deliver(inbox: Inbox, receiver: Receiver, *, now_ms: int = NOW_MS) -> int:
    async with httpx.AsyncClient() as client:
        sender = WebhookSender(inbox, client, url=receiver.url, key=parse_secret(SECRET), clock_ms=lambda: now_ms)
        return await sender.deliver_due()


async def test_a_change_is_delivered_once_and_signed(tmp_path: Path, receiver: Receiver) -> None:
    for _ in range(2):  # the worker tells it again, and this reader starts again
        with Inbox(tmp_path / "a" / "inbox.sqlite") as inbox:
            taken(inbox, change(1), change(1))
            await deliver(inbox, receiver)
            assert inbox.offsets() == {0: 1}
    ((headers, body),) = receiver.got
    assert (headers["webhook-id"], body) == ("c1", change(1).body)
    seconds = str(NOW_MS // 1000)
    assert headers["webhook-timestamp"] == seconds
    signed = standardwebhooks.Webhook(SECRET).sign("c1", _moment(NOW_MS), body.decode())
    assert headers["webhook-signature"] == signed


def _moment(at_ms: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, tz=UTC)


async def test_what_fails_is_tried_again_and_holds_back_its_person_alone(receiver: Receiver) -> None:
    receiver.answers = [500, 200]
    with Inbox(None) as inbox:
        taken(inbox, change(1))
        await deliver(inbox, receiver)
        taken(inbox, change(2), change(3, "u:bob"))
        assert await deliver(inbox, receiver) == 1
        assert [headers["webhook-id"] for headers, _ in receiver.got] == ["c1", "c3"]
        later = NOW_MS + 1000 * PAUSES_SECONDS[0]
        assert [await deliver(inbox, receiver, now_ms=later) for _ in range(3)] == [1, 1, 0]
    assert [headers["webhook-id"] for headers, _ in receiver.got] == ["c1", "c3", "c1", "c2"]


async def test_what_nobody_takes_is_given_up_and_can_be_tried_again(receiver: Receiver) -> None:
    receiver.answers = [503]
    now_ms = NOW_MS
    with Inbox(None) as inbox:
        taken(inbox, change(1))
        for pause in (*PAUSES_SECONDS, 0):
            assert await deliver(inbox, receiver, now_ms=now_ms) == 1
            now_ms += 1000 * pause
        (given_up,) = inbox.dead()
        assert (given_up.attempts, given_up.error) == (len(PAUSES_SECONDS) + 1, "answered 503")
        taken(inbox, change(2))
        assert [each.change.id for each in inbox.due(now_ms, 8)] == ["c2"]  # it holds nobody back any more
        assert inbox.revive(now_ms) == 1
        assert [each.change.id for each in inbox.due(now_ms, 8)] == ["c1"]


async def test_who_is_gone_is_not_asked_again_and_who_is_away_is(receiver: Receiver) -> None:
    receiver.answers = [410]
    with Inbox(None) as inbox:
        taken(inbox, change(1))
        await deliver(inbox, receiver)
        assert [each.error for each in inbox.dead()] == ["answered 410"]
        taken(inbox, change(2))
        async with httpx.AsyncClient() as client:
            sender = WebhookSender(
                inbox, client, url="http://127.0.0.1:9/", key=parse_secret(SECRET), clock_ms=lambda: NOW_MS
            )
            await sender.deliver_due()
        (waiting,) = inbox.due(NOW_MS + 1000 * PAUSES_SECONDS[0], 8)
        assert (waiting.attempts, waiting.error) == (1, "ConnectError")


def test_what_is_printed_is_known_only_when_it_was_printed() -> None:
    def fails(_: Change) -> None:
        raise BrokenPipeError

    printed: list[Change] = []
    with Inbox(None) as inbox:
        with pytest.raises(BrokenPipeError):
            inbox.take(0, 5, changes=[change(1)], now_ms=NOW_MS, hand_on=fails)
        assert inbox.offsets() == {}
        inbox.take(0, 5, changes=[change(1), change(1)], now_ms=NOW_MS, hand_on=printed.append)
        assert (printed, inbox.due(NOW_MS, 8)) == ([change(1)], [])


def test_ids_are_forgotten_when_the_topic_has_forgotten_them() -> None:
    printed: list[Change] = []
    with Inbox(None) as inbox:
        for now_ms in (NOW_MS, NOW_MS + DAY_MS, NOW_MS + (KNOWN_DAYS + 2) * DAY_MS):
            inbox.take(0, 1, changes=[change(1)], now_ms=now_ms, hand_on=printed.append)
            inbox.take(0, 2, changes=[], now_ms=now_ms)
    assert len(printed) == 1  # known while it is read: what is purged goes behind the records of a batch
    with Inbox(None) as inbox:
        for now_ms in (NOW_MS, NOW_MS + (KNOWN_DAYS + 1) * DAY_MS):
            inbox.take(0, 2, changes=[], now_ms=now_ms)
            inbox.take(0, 2, changes=[change(1)], now_ms=now_ms, hand_on=printed.append)
    assert len(printed) == 3


def test_what_is_wanted() -> None:
    def parsed(wanted: Wanted, **told: Any) -> bool:
        document = {"id": "i", "person": "u:a", "funnel": "deals", "change": "abandoned", "was": "open", **told}
        return wanted.parse(json.dumps(document).encode()) is not None

    assert parsed(Wanted())
    assert parsed(Wanted(changes=WIN_BACK))
    assert not parsed(Wanted(changes=WIN_BACK), change="advanced")
    assert parsed(Wanted(changes=WIN_BACK), change="advanced", was="abandoned")  # it takes back what was told
    assert not parsed(Wanted(funnels=["sales"]))
    assert [Wanted().parse(value) for value in (None, b"{", b"[]", b"{}")] == [None] * 4


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_ä"])
def test_a_secret_that_is_none_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SecretError, match="24 bytes or more"):
        parse_secret(text)
