"""docs/api.md "Bad input, exactly": every row is sent, and answered with the status and the body that stand there."""

from __future__ import annotations

import gzip
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson

from producers.access.keys import read_keys, revoke_key
from producers.collector.admission import Admission
from producers.collector.ratelimit import RateLimits
from producers.ingest.verdicts import Scope
from tests.support.collector import NOW, CollectorInMemory, event
from tests.support.rows import rows
from tests.support.webhooks import load, of_sample

DOC = (Path(__file__).parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([^|]+?) \| (\d{3}) \| `+ ?(.+?) ?`+ \|$", re.MULTILINE)
ROWS = {case: (int(status), body) for case, status, body in ROW.findall(DOC.partition("## Bad input, exactly")[2])}
Asked = Awaitable[httpx.Response]
CASES: dict[str, Callable[[Path], Asked]] = {}


def case(name: str) -> Callable[[Callable[[Path], Asked]], Callable[[Path], Asked]]:
    """A row of the table."""

    def add(ask: Callable[[Path], Asked]) -> Callable[[Path], Asked]:
        CASES[name] = ask
        return ask

    return add


def sends(name: str, body: Any, **headers: str) -> None:
    """A row that is one request with a server's key."""
    CASES[name] = lambda path: CollectorInMemory(path, {"server_names": {"payment"}}).post(
        body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


sends("no id", event(id=None))
sends("no name", event(name=None))
sends("no id of a person", event(anonymous_id=None))
sends("placeholder ids only", event(anonymous_id="undefined", user_id="null"))
sends("no JSON", b'{"id": "e-1", ')
sends("an empty body", b"")
sends("invalid UTF-8", b'[{"id":"\xff"}]')
sends("deep JSON", b'[{"id":"e-1","name":"click","user_id":"u","properties":' + b'{"a":' * 40 + b"1" + b"}" * 41 + b"]")
sends("an event over 32 KiB", [event(properties={"x": "y" * 32_768})])
sends("a body over 1 MiB", b" " * 1_048_577)
sends("a zip bomb", gzip.compress(b"0" * 20_000_000, 1, mtime=0))
sends("a broken compression", gzip.compress(b"{}", mtime=0)[:-4])
sends("over 2,000 events", [{}] * 2_001)
sends("a time in seconds, or before 2000", event(occurred_at_ms=NOW // 1000))
sends("a time in the year 2100: reception is taken", event(occurred_at_ms=4_102_444_800_000))
sends("an event that no funnel knows: counted in `unknown_names_total`", event(name="danced"))
sends(
    "a negative amount: the event counts without it", event(name="payment", properties={"order_id": "o1", "value": -5})
)
sends("any other content type: it decides nothing", event(), Content_Type="image/png")


@case("no key")
async def no_key(path: Path) -> httpx.Response:
    return await CollectorInMemory(path).post(event(), scope=None)


@case("an unknown key")
async def unknown_key(path: Path) -> httpx.Response:
    return await CollectorInMemory(path).post(event(), scope=None, headers={"X-Write-Key": "fcs_unknown"})


@case("a revoked key")
async def revoked_key(path: Path) -> httpx.Response:
    collector = CollectorInMemory(path)
    for key in read_keys(path / "keys.json"):
        revoke_key(path / "keys.json", key.id)
    return await collector.post(event())


@case("a read key")
async def read_key(path: Path) -> httpx.Response:
    return await CollectorInMemory(path).post(event(), scope=Scope.READ)


@case("a page that is not listed")
async def wrong_origin(path: Path) -> httpx.Response:
    collector = CollectorInMemory(path, browser={"origins": ("https://shop.example",)})
    return await collector.post(event(), scope=Scope.BROWSER, headers={"Origin": "https://other.example"})


@case("a payment with a browser's key")
async def payment(path: Path) -> httpx.Response:
    return await CollectorInMemory(path, {"server_names": {"payment"}}).post(event(name="payment"), scope=Scope.BROWSER)


@case("too many requests")
async def too_many(path: Path) -> httpx.Response:
    admission = Admission(RateLimits(address=1), clock=lambda: 0.0)
    collector = CollectorInMemory(path, admission=admission, address="203.0.113.9")
    for _ in range(5):
        await collector.post(event(), scope=Scope.BROWSER)
    return await collector.post(event(), scope=Scope.BROWSER)


@case("an unknown event, with `--strict-names`")
async def unknown_name(path: Path) -> httpx.Response:
    collector = CollectorInMemory(path, {"known_names": {"click"}, "strict_names": True})
    return await collector.post(event(name="danced"))


@case("a CloudEvent in an encoding that is none")
async def wrong_content_type(path: Path) -> httpx.Response:
    headers = {"Content-Type": "application/cloudevents+protobuf"}
    return await CollectorInMemory(path).post(b"x", "/v1/cloudevents", headers=headers)


@case("a webhook with a wrong signature")
async def forged(path: Path) -> httpx.Response:
    sample = load("stripe-session-completed")
    return await of_sample("stripe-session-completed").send(sample, body=sample["body"].replace("e", "E", 1))


@case("a webhook with a stale timestamp")
async def stale(path: Path) -> httpx.Response:
    collector = of_sample("stripe-session-completed")
    collector.now_ms += 600_000
    return await collector.send(load("stripe-session-completed"))


@case("a webhook delivered again")
async def replayed(path: Path) -> httpx.Response:
    collector = of_sample("stripe-session-completed")
    await collector.send(load("stripe-session-completed"))
    return await collector.send(load("stripe-session-completed"))


@case("a webhook for an unknown stage")
async def unknown_stage(path: Path) -> httpx.Response:
    return await of_sample("pipedrive-deal-stage").send(load("pipedrive-deal-stage"))


@rows("name", CASES)
async def test_a_row_is_answered_as_it_says(name: str, tmp_path: Path) -> None:
    directory = tmp_path / str(list(CASES).index(name))
    directory.mkdir()
    answer = await CASES[name](directory)
    status, body = ROWS[name]
    said = re.sub(r"write key [0-9a-f]{8}", "write key 3f9a2c11", answer.text)
    assert (answer.status_code, orjson.loads(said)) == (status, orjson.loads(body))


def test_every_row_is_sent() -> None:
    assert list(ROWS) == list(CASES)
