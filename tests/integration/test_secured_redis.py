"""Redis with TLS and users: the documented rights are enough; what is refused ends with the server's words."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Sender
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.store.connection import close, connect, ping
from streams.store.port import StoreRefusedError, StoreUnavailableError
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from tests.support.certificates import Certificates
from tests.support.command import run_command
from tests.support.secured_redis import IN_URL, PASSWORD, SecuredRedis
from tests.support.stack import StackAddresses
from tests.support.valkey import ValkeyServer, debian_redis
from tests.support.waiting import until
from tests.support.worker_processes import Workers
from tests.support.workers import producing

pytestmark = pytest.mark.skipif(debian_redis() is None, reason="no redis-server on this machine (Debian: redis-server)")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredRedis]:
    redis = SecuredRedis(tmp_path_factory.mktemp("secured-redis"))
    redis.server.start()
    yield redis
    redis.server.kill()


def test_a_replay_through_it_prints_what_memory_prints(
    secured: SecuredRedis, embedded_stack: StackAddresses, tmp_path: Path
) -> None:
    log = tmp_path / "events.jsonl"
    events = [
        {"id": f"e{n}", "name": "lead", "user_id": f"u{n % 90}", "occurred_at_ms": 1735725600000 + n}
        for n in range(300)
    ]
    log.write_text("\n".join(map(json.dumps, events)))
    (file := tmp_path / "password").write_text(PASSWORD + "\n")
    env = {
        "FUNNELCAST_KAFKA": embedded_stack.kafka,
        "FUNNELCAST_REDIS": secured.url(password=None).replace("//", "//funnelcast-worker@"),
        "FUNNELCAST_REDIS_PASSWORD_FILE": str(file),
    }
    options = ("replay", "--events", str(log), "--json")
    code, in_memory, errors = run_command(*options, state_dir=tmp_path)
    assert code == 0, errors
    code, out, errors = run_command(*options, "--through", "stack", state_dir=tmp_path, env=env)
    assert (code, out) == (0, in_memory), errors
    assert json.loads(out)["input"]["persons"] == 90


async def test_a_reader_may_read_and_not_write(secured: SecuredRedis) -> None:
    worker, reader = connect(secured.url()), connect(secured.url("funnelcast-reader"))
    await RedisPartitionStore(worker, "reading").claim(0, ["sales@1"])
    assert await RedisCounterReader(reader, "reading").partitions() == [0]
    assert await RedisCounterReader(reader, "reading").view(0, "sales@1", grains=[0]) is not None
    assert await RedisCounterReader(reader, "reading").gaps() == []
    with pytest.raises(StoreRefusedError, match="lacks a right"):
        await RedisPartitionStore(reader, "reading").claim(0, ["sales@1"])
    await close(worker)
    await close(reader)


QUESTIONS = ("report", "report --grain minute", "report --profit", "report --persons", "gaps list")


async def test_a_reader_may_ask_whatever_there_is_to_read(
    secured: SecuredRedis, env: dict[str, str], workers: Workers, tmp_path: Path
) -> None:
    env["FUNNELCAST_REDIS"] = secured.url()
    await ensure_topics(env["FUNNELCAST_KAFKA"], Topics(env["FUNNELCAST_SPACE"]), partitions=1)
    await workers.start()
    sent = {"id": "e1", "name": "lead", "user_id": "u1"}
    async with producing(env["FUNNELCAST_KAFKA"]) as producer:
        now_ms = int(time.time() * 1000)
        verdict = Ingest().native(json.dumps(sent).encode(), sender=Sender(), received_at_ms=now_ms)
        assert isinstance(verdict, Accepted)
        for key, value in verdict.records:
            await producer.send_and_wait(Topics(env["FUNNELCAST_SPACE"]).events, value, key=key, timestamp_ms=now_ms)
    env["FUNNELCAST_REDIS"] = secured.url("funnelcast-reader")

    async def asked(*question: str) -> tuple[int, bytes, str]:
        return await asyncio.to_thread(run_command, *question, "--json", state_dir=tmp_path, env=env)

    async def is_counted() -> bool:
        code, out, errors = await asked("person", "u1")
        assert "lacks a right" not in errors, errors
        return code == 0 and b"lead" in out

    await until(is_counted, every=1, what="the person, to a reader")
    for question in QUESTIONS:
        code, _, errors = await asked(*question.split())
        assert code == 0, (question, errors)


REFUSED = {
    "password": ("funnelcast-worker", "not-the-one", "invalid username-password pair"),
    "no login": ("", None, "Authentication required"),
    "no right": ("weak", IN_URL, "NOPERM|no permissions"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
@pytest.mark.parametrize(
    "command",
    [("worker",), ("exporter", "--port", "0"), ("web", "--port", "0"), ("report", "--json")],
    ids=lambda c: c[0],
)
async def test_every_process_ends_with_the_servers_words(
    secured: SecuredRedis,
    embedded_stack: StackAddresses,
    fresh_space: str,
    tmp_path: Path,
    command: tuple[str, ...],
    case: str,
) -> None:
    user, password, says = REFUSED[case]
    env = {
        "FUNNELCAST_KAFKA": embedded_stack.kafka,
        "FUNNELCAST_REDIS": secured.url(user, password),
        "FUNNELCAST_SPACE": fresh_space,
    }
    await ensure_topics(embedded_stack.kafka, Topics(fresh_space), partitions=1)
    code, _, errors = run_command(*command, state_dir=tmp_path, env=env)
    assert code == 70, errors
    assert any(word in errors for word in says.split("|")), errors
    assert not any(word in errors for word in (PASSWORD, IN_URL, "not-the-one")), errors


async def test_a_client_without_tls_is_told_how_an_address_with_it_begins(secured: SecuredRedis) -> None:
    client = connect(f"redis://127.0.0.1:{secured.port}")
    with pytest.raises(StoreUnavailableError, match="where it speaks TLS, its address begins with rediss://"):
        await ping(client)
    await close(client)


async def refused(url: str) -> str:
    client = connect(url)
    try:
        with pytest.raises(StoreRefusedError) as caught:
            await ping(client)
        return str(caught.value)
    finally:
        await close(client)


async def test_a_certificate_that_does_not_verify_is_not_waited_for(secured: SecuredRedis) -> None:
    told = await refused(secured.url(ca=secured.certificates.other_ca))
    assert "its certificate does not verify: " in told
    plain = connect(secured.url().replace("rediss:", "redis:").partition("?")[0])
    with pytest.raises(StoreUnavailableError, match="Redis does not answer"):
        await ping(plain)
    await close(plain)


async def test_mutual_tls(tmp_path: Path) -> None:
    redis = SecuredRedis(tmp_path, wants_certificate=True)
    redis.server.start()
    try:
        files: Certificates = redis.certificates
        pair = f"&ssl_certfile={files.directory}/client.crt&ssl_keyfile={files.directory}/client.key"
        client = connect(redis.url() + pair)
        await ping(client)
        await close(client)
        without = connect(redis.url())
        with pytest.raises((StoreRefusedError, StoreUnavailableError)):
            await ping(without)
        await close(without)
    finally:
        redis.server.kill()


async def test_a_server_that_refuses_writes_is_down_however_well_it_reads(
    own_server: ValkeyServer, embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path
) -> None:
    await ensure_topics(embedded_stack.kafka, Topics(fresh_space), partitions=1)
    own_server.command("CONFIG SET min-replicas-to-write 1")
    env = {
        "FUNNELCAST_KAFKA": embedded_stack.kafka,
        "FUNNELCAST_REDIS": own_server.url,
        "FUNNELCAST_SPACE": fresh_space,
        "FUNNELCAST_WORKER__START_TIMEOUT": "3",
    }
    code, _, errors = run_command("worker", state_dir=tmp_path, env=env)
    assert code == 75, errors
    downs = [json.loads(line) for line in errors.splitlines() if '"store_down"' in line]
    assert len(downs) == 1
    assert "NOREPLICAS" in downs[0]["message"]
    assert "NOREPLICAS" in errors.splitlines()[-1]
