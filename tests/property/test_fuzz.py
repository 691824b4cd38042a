"""The fuzzer's parts, and thousands of its requests against a collector in memory: a bug would be a 500."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from funnelcast.fuzz.checks import balance_of, fault_of, faults_of_balance
from funnelcast.fuzz.mutate import request_of
from funnelcast.fuzz.persons import HotPerson, fuzz_persons
from funnelcast.fuzz.requests import CHUNKED, RAW, FuzzRequest, recorded, with_key
from funnelcast.fuzz.sign import signed
from funnelcast.fuzz.target import write_settings
from funnelcast.fuzz.wire import CLOSED, HUNG, Answer
from producers.access.keys import KeyRing
from producers.collector.app import Collector
from producers.collector.routes import all_routes
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.sink.port import MemorySink
from producers.webhooks.config import parse_webhooks
from schemas.topics import Topics
from tests.support.rows import rows
from tests.support.thorough import cases

SAMPLES = recorded()
SHOTS = cases(700, few=35)


def app_in_memory(directory: Path) -> Collector:
    """A collector with the fuzzer's keys and webhooks."""
    keys, hooks = directory / "keys.json", directory / "webhooks.yaml"
    write_settings(keys, hooks)
    ingest = Ingest(contacts=Contacts(b"fuzz"))
    return Collector(
        sink=MemorySink(),
        ingest=ingest,
        keys=KeyRing(keys),
        topics=Topics("t"),
        routes=all_routes(ingest, parse_webhooks(hooks.read_text(), {})),
    )


async def ask(app: Collector, request: FuzzRequest) -> Answer:
    """The answer to a request, without a server in between."""
    messages: list[MutableMapping[str, Any]] = []
    path, _, query = request.target.partition(b"?")
    body = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        return body.pop() if body else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "method": request.method.decode(),
        "path": path.decode("latin-1"),
        "query_string": query,
        "headers": [(name.lower(), value) for name, value in request.headers],
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)
    start, *parts = messages
    return Answer(start["status"], dict(start["headers"]), b"".join(one.get("body", b"") for one in parts))


@rows("seed", range(1, 1 + cases(3, few=1)))
async def test_no_shot_breaks_the_collector(tmp_path: Path, seed: int) -> None:
    """Every answer is one that may be given, and the counts balance."""
    app = app_in_memory(tmp_path)
    statuses: Counter[int] = Counter()
    for number in range(SHOTS):
        request = request_of(seed, number, samples=SAMPLES)
        if request.way == RAW:
            continue
        answer = await ask(app, signed(request, time.time_ns() // 1_000_000) if request.is_signed else request)
        statuses[answer.status] += 1
        assert fault_of(request, answer) is None, (seed, request.number, request.mutations, fault_of(request, answer))
    assert statuses[200] > SHOTS * 250 // 700
    balance = balance_of(app.metrics.render().decode())
    assert not faults_of_balance(balance)
    assert sum(one["accepted"] for one in balance.values()) > SHOTS // 7


async def test_every_recorded_request_is_taken_as_it_is(tmp_path: Path) -> None:
    """Else the fuzzer would test one refusal only."""
    app = app_in_memory(tmp_path)
    for number, sample in enumerate(SAMPLES):
        request = FuzzRequest(
            2 * number, sample.format, sample.method, sample.target, sample.headers, sample.body, sample.hook
        )
        assert (await ask(app, signed(request, time.time_ns() // 1_000_000))).status == 200, sample.name
    balance = balance_of(app.metrics.render().decode())
    assert sum(found["rejected"] for found in balance.values()) <= 10


def test_the_same_seed_makes_the_same_shots() -> None:
    numbers = range(cases(200))
    assert [request_of(5, number, samples=SAMPLES) for number in numbers] == [
        request_of(5, number, samples=SAMPLES) for number in numbers
    ]
    assert request_of(5, 1, samples=SAMPLES) != request_of(6, 1, samples=SAMPLES)


def test_a_key_of_ones_own_stands_wherever_one_was_recorded() -> None:
    for sample in SAMPLES:
        own = with_key(sample, b"OWN")
        assert b"WRITE_KEY" not in own.target + own.body + b"".join(value for _, value in own.headers)


def test_the_wire_says_how_long_a_body_is() -> None:
    request = FuzzRequest(1, "f", b"POST", b"/v1/events", ((b"host", b"h"),), b"{}")
    assert request.wire() == b"POST /v1/events HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}"
    chunked = FuzzRequest(1, "f", b"POST", b"/", (), b"x" * 1001, way=CHUNKED).wire()
    assert chunked.endswith(b"\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n0\r\n\r\n")


GOOD = {b"content-type": b"application/json"}


@rows(
    ("answer", "fault"),
    [
        (Answer(200, {}, b""), None),
        (Answer(400, GOOD, b'{"code":"a","message":"b","detail":""}'), None),
        (Answer(503, GOOD, b'{"code":"a","message":"b","detail":"c"}'), None),
        (Answer(500, GOOD, b'{"code":"a","message":"b","detail":"c"}'), "status 500"),
        (Answer(302), "status 302"),
        (Answer(400, GOOD, b"no"), "is no JSON"),
        (Answer(400, GOOD, b'{"code":"a"}'), "is not code, message and detail"),
        (Answer(400, GOOD, b'{"code":"","message":"b","detail":"c"}'), "says nothing"),
        (Answer(400, {}, b'{"code":"a","message":"b","detail":"c"}'), "not said to be JSON"),
        (Answer(400, {b"content-type": b"text/plain"}, b"Invalid HTTP request received."), "is no JSON"),
        (CLOSED, "no answer"),
        (HUNG, "neither"),
    ],
)
def test_what_is_wrong_with_an_answer(answer: Answer, fault: str | None) -> None:
    fault_seen = fault_of(FuzzRequest(1, "f", b"POST", b"/", (), b""), answer)
    assert fault_seen is None if fault is None else fault_seen is not None and fault in fault_seen


def test_what_is_no_http_may_be_left_without_an_answer() -> None:
    request = FuzzRequest(1, "f", b"POST", b"/", (), b"", may_be_no_http=True)
    assert fault_of(request, CLOSED) is None
    assert fault_of(request, HUNG) is not None
    assert fault_of(request, Answer(500)) is not None


def test_a_source_that_does_not_balance_is_named() -> None:
    text = (
        'funnelcast_collector_events_received_total{source="web"} 3\n'
        'funnelcast_collector_events_total{source="web",outcome="accepted",reason=""} 1\n'
        'funnelcast_collector_events_total{source="web",outcome="rejected",reason="bad_key"} 1\n'
    )
    (fault,) = faults_of_balance(balance_of(text))
    assert fault.startswith("source web:")


async def test_hot_persons_count_the_same_however_their_log_is_cut() -> None:
    assert await fuzz_persons(7, range(4), say=print) == []


async def test_a_person_whose_pieces_differ_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[bytes] = [b"one", b"other"]

    async def _counted(person: HotPerson, cuts: list[int]) -> bytes:
        return counted.pop()

    monkeypatch.setattr("funnelcast.fuzz.persons._counted", _counted)
    (fault,) = await fuzz_persons(7, range(1), say=print)
    assert fault.startswith("person 0: counted at once and cut at")
