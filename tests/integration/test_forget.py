"""`funnelcast forget` on the embedded stack: log, worker, Redis, command, all as processes; the worker is killed around
it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.verdicts import Accepted, Scope, Sender
from schemas.funnel.load import load_funnel
from schemas.record import EventRecord, encode_event, encode_forget, encode_tick
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.report.document.counters import build_document
from streams.store.reader import RedisCounterReader
from tests.support.command import run_command, start_command
from tests.support.counting import count_records
from tests.support.mentions import mentions
from tests.support.waiting import until
from tests.support.worker_processes import Workers
from tests.support.workers import producing

T0 = 1_750_000_000_000
FUNNEL = load_funnel("sales")
SECRET = "ann-4711"
"""Stands in every id of the person who is to be forgotten."""


def _record(name: str, second: int, person: str, **properties: Any) -> tuple[bytes, bytes, int]:
    when = T0 + second * 1000
    event = EventRecord(
        id=f"{name}-{second}-{person}",
        name=name,
        occurred_at_ms=when,
        received_at_ms=when,
        source="web",
        user_id=person,
        properties=json.dumps(properties).encode(),  # type: ignore[arg-type] # Raw is made of bytes
    )
    return b"u:" + person.encode(), encode_event(event), when


def _life(person: str, start: int) -> list[tuple[bytes, bytes, int]]:
    """A journey with a payment, its refund, and hundreds of clicks (so that some lie in sealed pieces)."""
    order = {"order_id": f"o-{person}", "value": "19.99", "currency": "USD"}
    clicks = [_record("click", start + 1 + at, person) for at in range(150)]
    return [
        _record("impression", start, person),
        *clicks,
        _record("lead", start + 200, person),
        _record("payment", start + 201, person, **order),
        _record("refund", start + 202, person, refund_id=f"r-{person}", **order),
        _record("impression", start + 203, f"{person}-other"),
    ]


LOG = [*_life(SECRET, 0), *_life("bob", 300)]
LATER = [_record("impression", 600, SECRET), _record("click", 601, SECRET)]


async def _write(env: dict[str, str], records: list[tuple[bytes | None, bytes, int]]) -> None:
    async with producing(env["FUNNELCAST_KAFKA"]) as producer:
        for key, value, time_ms in records:
            topic = Topics(env["FUNNELCAST_SPACE"]).events
            await producer.send_and_wait(topic, value, key=key, partition=0, timestamp_ms=time_ms)


async def _counted(reader: RedisCounterReader, offset: int) -> None:
    async def reached() -> bool:
        status = await reader.status(0)
        return status is not None and status.offset >= offset and not status.meta.pending

    await until(reached, what=f"offset {offset} counted")


async def _forget(env: dict[str, str], directory: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, said = await asyncio.to_thread(run_command, "forget", *arguments, "--json", state_dir=directory, env=env)
    assert out, said
    return code, json.loads(out)


async def test_forgotten_between_two_deaths_of_the_worker(
    env: dict[str, str], workers: Workers, reader: RedisCounterReader, tmp_path: Path
) -> None:
    """No name is left in Redis, no number changes, what comes later is somebody new."""
    await ensure_topics(env["FUNNELCAST_KAFKA"], Topics(env["FUNNELCAST_SPACE"]), partitions=1, historical=True)
    first = await workers.start()
    await _write(env, [*LOG])
    await _counted(reader, len(LOG))
    assert await mentions(env, SECRET)
    before = await build_document(reader, FUNNEL)
    first.kill()
    code, said = await _forget(env, tmp_path, "--user-id", SECRET, "--no-wait")
    assert (code, said) == (
        0,
        {
            "person": f"u:{SECRET}",
            "ids": [f"u:{SECRET}"],
            "partition": 0,
            "offset": len(LOG),
            "erased": False,
            "known": True,
        },
    )
    second = await workers.start()
    waiting = start_command("forget", f"u:{SECRET}-other", "--json", state_dir=tmp_path, env=env)
    second.kill()
    await workers.start()
    out, _ = await asyncio.to_thread(waiting.communicate, None, 90)
    assert waiting.returncode == 0
    assert json.loads(out)["erased"] is True
    assert not await mentions(env, SECRET)
    assert await mentions(env, "u:bob")
    assert await build_document(reader, FUNNEL) == before
    await _write(env, [*LATER, (None, encode_tick(T0 + 40 * 86_400_000), T0 + 40 * 86_400_000)])
    await _counted(reader, len(LOG) + 2 + len(LATER) + 1)
    forgets = [(f"u:{one}".encode(), encode_forget(1), T0) for one in (SECRET, f"{SECRET}-other")]
    whole = [*LOG, *forgets, *LATER, (None, encode_tick(T0 + 40 * 86_400_000), T0 + 40 * 86_400_000)]
    after = await reader.view(0, FUNNEL.funnel_id, grains=(0, 1, 2, 3))
    wanted = count_records([FUNNEL], whole)[FUNNEL.funnel_id].views[0]
    assert after is not None
    assert after.cells == wanted.cells
    assert after.meta.stats == wanted.meta.stats
    assert after.meta.stats[FUNNEL.funnel_id]["forgotten"] == 2


async def test_an_email_is_hashed_with_the_collectors_key(
    env: dict[str, str], workers: Workers, reader: RedisCounterReader, tmp_path: Path
) -> None:
    """The command finds the person whom the collector made of the same address; a stranger is no error."""
    await ensure_topics(env["FUNNELCAST_KAFKA"], Topics(env["FUNNELCAST_SPACE"]), partitions=1)
    (tmp_path / "contact.key").write_text("a key of this installation")
    await workers.start()
    contact = Contacts(b"a key of this installation").of_email("ann@example.com")
    code, said = await _forget(env, tmp_path, "--email", " Ann@Example.com ")
    assert code == 0
    ids = [f"c:{contact}"]
    assert said == {"person": f"c:{contact}", "ids": ids, "partition": 0, "offset": 0, "erased": True, "known": False}
    status = await reader.status(0)
    assert status is not None
    assert status.meta.forgets == 1
    assert status.meta.watermark_ms is None


async def test_what_is_wrong_is_said(env: dict[str, str], tmp_path: Path) -> None:
    """Wrong use 2, no worker in time 75, no topic 70; nothing is written for the first."""
    for arguments in ([], ["u:1", "--user-id", "1"], ["ann"], ["--user-id", "null"], ["--email", "ann@example.com"]):
        code, out, _ = await asyncio.to_thread(run_command, "forget", *arguments, state_dir=tmp_path, env=env)
        assert (code, out) == (2, b""), arguments
    code, _, said = await asyncio.to_thread(run_command, "forget", "u:1", state_dir=tmp_path, env=env)
    assert code == 70
    assert "topics create" in said
    await ensure_topics(env["FUNNELCAST_KAFKA"], Topics(env["FUNNELCAST_SPACE"]), partitions=1)
    code, said_json = await _forget(env, tmp_path, "u:1", "--timeout", "0.2")
    assert (code, said_json["erased"]) == (75, False)


async def test_a_tree_is_shown_and_forgotten_whole(
    env: dict[str, str], workers: Workers, reader: RedisCounterReader, tmp_path: Path
) -> None:
    """Device, contact and account in three partitions: `person` shows them by any id, `forget` reaches all."""
    await ensure_topics(env["FUNNELCAST_KAFKA"], Topics(env["FUNNELCAST_SPACE"]), partitions=3, historical=True)
    await workers.start()
    device, contact, account = {"anonymous_id": "dev"}, {"contact_id": "con"}, {"user_id": SECRET}
    life: list[tuple[str, dict[str, str]]] = [
        ("impression", device),
        ("click", device),
        ("lead", device | contact),
        ("offer_sent", contact),
        ("payment", contact | account),
    ]
    ingest, log = Ingest(), []
    for second, (name, ids) in enumerate(life):
        event = {"id": name, "name": name, "occurred_at_ms": T0 + second * 60_000, **ids}
        event["properties"] = {"order_id": "o1", "value": "10"} if name == "payment" else {}
        verdict = ingest.native(json.dumps(event).encode(), sender=Sender(scope=Scope.HISTORICAL), received_at_ms=None)
        assert isinstance(verdict, Accepted)
        log += [(key, value, verdict.received_at_ms) for key, value in verdict.records]
    async with producing(env["FUNNELCAST_KAFKA"]) as producer:
        for key, value, time_ms in log:
            topic = Topics(env["FUNNELCAST_SPACE"]).events
            await producer.send_and_wait(topic, value, key=key, timestamp_ms=time_ms)

    async def shown() -> dict[str, Any]:
        _, out, err = await asyncio.to_thread(run_command, "person", "dev", "--json", state_dir=tmp_path, env=env)
        assert out, err
        history: dict[str, Any] = json.loads(out)
        return history

    async def is_whole() -> bool:
        journeys = (await shown())["journeys"]
        return any(len(one["entries"]) == 5 for one in journeys)

    await until(is_whole, every=1, what="one journey of all five")
    told = await shown()
    assert (told["person"], told["ids"]) == (f"u:{SECRET}", [f"u:{SECRET}", "c:con", "a:dev"])
    (journey,) = told["journeys"]
    assert [entry["stage"] for entry in journey["entries"]] == ["impression", "click", "lead", "offer", "payment"]
    assert journey["entries"][0]["outcome"] == "advanced"
    assert journey["entries"][0]["why"].startswith("advanced to click 1 min later, within its ")
    before = (await build_document(reader, FUNNEL))["counters"]
    code, said = await _forget(env, tmp_path, "c:con")
    assert (code, said["erased"], said["ids"]) == (0, True, ["c:con", f"u:{SECRET}", "a:dev"])
    for name in (SECRET, "c:con", "a:dev"):
        assert not await mentions(env, name)
    assert (await build_document(reader, FUNNEL))["counters"] == before
    code, _, _ = await asyncio.to_thread(run_command, "person", "dev", "--json", state_dir=tmp_path, env=env)
    assert code == 1
