"""A broker with TLS, logins and rights: what is right counts exactly, what is wrong ends with the broker's reason."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from funnelcast.processes.deployment import status_of
from funnelcast.processes.ports import free_port
from funnelcast.settings.load import load_settings
from funnelcast.settings.sections import KafkaSettings
from producers.dead_letters.reader import DeadLetterReader
from producers.webhooks.hook_consumer import HookConsumer
from schemas.errors import BrokerUnavailableError
from schemas.funnel.load import load_funnel
from schemas.kafka import KafkaRefusedError, KafkaServers
from schemas.topics import Topics
from streams.admin import ensure_topics, log_range_of
from streams.forget import request_erasure
from streams.report.document.counters import build_document
from streams.store.connection import connect as connect_store
from streams.store.reader import RedisCounterReader
from streams.transport.metadata import connect
from streams.transport.port import LogRange
from tests.support.command import run_command, start_command
from tests.support.http import plain_client
from tests.support.secured_kafka import (
    CREATE,
    DESCRIBE,
    DESCRIBE_CONFIGS,
    GROUP,
    READ,
    TOPIC,
    WRITE,
    SecuredKafka,
    secured_kafka,
)
from tests.support.valkey import ValkeyServer
from tests.support.waiting import LIMIT, until
from tests.support.webhooks import STRIPE_SECRET, write_hooks

__all__ = ["secured_kafka"]
pytestmark = pytest.mark.kafka
EVENTS, PER_REQUEST, PARTITIONS = 600, 30, 2


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    (directory := tmp_path / "valkey").mkdir()
    server = ValkeyServer(directory)
    server.start()
    yield server
    server.kill()


def token(subject: str) -> str:
    """A token without a signature, as the broker's validator for tests takes it."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time())
    return f"{part({'alg': 'none'})}.{part({'sub': subject, 'iat': now - 60, 'exp': now + 3600})}."


async def lets_in(servers: KafkaServers) -> None:
    client = await connect(servers, timeout=LIMIT)
    await client.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_every_login_with_a_password(secured_kafka: SecuredKafka, mechanism: str) -> None:
    await lets_in(secured_kafka.servers("admin", kafka_mechanism=mechanism))
    wrong = secured_kafka.servers("admin", kafka_mechanism=mechanism, kafka_password="wrong")
    with pytest.raises(
        KafkaRefusedError, match=rf"the login is refused \({mechanism}\).*SaslAuthenticationFailed"
    ) as caught:
        await lets_in(wrong)
    assert "wrong" not in str(caught.value)


async def test_a_token_is_read_from_its_file_at_every_login(secured_kafka: SecuredKafka, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token("admin") + "\n")
    environment = secured_kafka.variables("", kafka_mechanism="OAUTHBEARER", kafka_token_file=file)
    del environment["FUNNELCAST_KAFKA_PASSWORD"]
    servers = load_settings(KafkaSettings, environment=environment).need_kafka()
    await lets_in(servers)
    file.write_text("no token")
    with pytest.raises(KafkaRefusedError, match=r"the login is refused \(OAUTHBEARER\)"):
        await lets_in(servers)
    file.unlink()
    with pytest.raises(KafkaRefusedError, match=r"kafka_token_file: .* cannot be read: No such file"):
        await lets_in(servers)


async def test_a_password_file_and_several_addresses_of_which_one_answers(
    secured_kafka: SecuredKafka, tmp_path: Path
) -> None:
    (file := tmp_path / "password").write_text("admin-secret\n")
    addresses = f"127.0.0.1:{free_port()}, {secured_kafka.broker.bootstrap}"
    await lets_in(secured_kafka.servers("admin", kafka=addresses, kafka_password="", kafka_password_file=file))


async def test_a_certificate_that_does_not_verify_is_not_waited_for(secured_kafka: SecuredKafka) -> None:
    with pytest.raises(KafkaRefusedError, match=r"certificate does not verify: .*Check kafka_ca"):
        await lets_in(secured_kafka.servers("admin", kafka_ca=secured_kafka.certificates.other_ca))


async def test_mutual_tls(secured_kafka: SecuredKafka) -> None:
    files = secured_kafka.certificates

    def servers(**more: str | Path) -> KafkaServers:
        plain = {"kafka_user": "", "kafka_password": "", "kafka_security": "ssl", "kafka": secured_kafka.mutual}
        return secured_kafka.servers("", **plain, **more)

    await lets_in(servers(kafka_cert=files.client))
    with pytest.raises(KafkaRefusedError, match=r"TLS fails: .*kafka_cert"):
        await lets_in(servers())


async def test_a_broker_that_is_away_is_away_and_refuses_nothing(secured_kafka: SecuredKafka) -> None:
    with pytest.raises(BrokerUnavailableError, match="does not answer"):
        await lets_in(secured_kafka.servers("admin", kafka=f"127.0.0.1:{free_port()}"))


async def test_a_client_without_tls_is_told_that_the_broker_speaks_it(secured_kafka: SecuredKafka) -> None:
    servers = load_settings(KafkaSettings, environment={"FUNNELCAST_KAFKA": secured_kafka.broker.bootstrap})
    with pytest.raises(KafkaRefusedError, match="speaks TLS"):
        await lets_in(servers.need_kafka())


async def _input(reader: RedisCounterReader) -> tuple[int, int, int]:
    """(accepted, persons, duplicates)."""
    numbers = (await build_document(reader, load_funnel("sales")))["input"]
    return numbers["accepted"], numbers["persons"], numbers["duplicates"]


COMMANDS = {
    "topics": ("topics", "create"),
    "collector": ("collector", "--open", "--port", "0"),
    "collector-workers": ("collector", "--open", "--port", "0", "--workers", "2"),
    "worker": ("worker",),
    "enricher": ("enricher", "--webhooks", "webhooks.yaml"),
    "ticker": ("ticker",),
    "forget": ("forget", "u:u1"),
    "rejected": ("rejected", "list"),
    "gaps": ("gaps", "accept", "--partition", "0", "--offset", "1", "--reason", "test"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_every_command_ends_with_the_brokers_reason(
    secured_kafka: SecuredKafka, valkey: ValkeyServer, tmp_path: Path, command: tuple[str, ...]
) -> None:
    hooks = write_hooks(tmp_path / "webhooks.yaml", {"name": "shop", "provider": "stripe", "secrets": [STRIPE_SECRET]})
    command = tuple(str(hooks) if word == hooks.name else word for word in command)
    env = secured_kafka.variables("admin", kafka_password="not-the-one") | {"FUNNELCAST_REDIS": valkey.url}
    code, _, errors = run_command(*command, state_dir=tmp_path, env=env)
    assert code == 70, errors
    assert "the login is refused (SCRAM-SHA-512)" in errors
    assert "SaslAuthenticationFailed" in errors
    assert "not-the-one" not in errors


async def test_a_user_without_rights_is_told_which_topic(secured_kafka: SecuredKafka, fresh_space: str) -> None:
    topics = Topics(fresh_space)
    await ensure_topics(secured_kafka.servers("admin"), topics, partitions=PARTITIONS)
    with pytest.raises(KafkaRefusedError, match=f"{topics.events}.*TOPIC_AUTHORIZATION_FAILED"):
        await ensure_topics(secured_kafka.servers("weak"), topics, partitions=PARTITIONS)


async def test_topics_and_tools_need_no_more_than_is_documented(secured_kafka: SecuredKafka, fresh_space: str) -> None:
    topics, owner, tool = Topics(fresh_space), secured_kafka.servers("owner"), secured_kafka.servers("tool")
    for topic in topics.all():
        await secured_kafka.allow("owner", TOPIC, topic, CREATE, DESCRIBE, DESCRIBE_CONFIGS)
    await ensure_topics(owner, topics, partitions=PARTITIONS)
    assert [state.problems for state in await ensure_topics(owner, topics, partitions=PARTITIONS)] == [()] * 5
    await secured_kafka.allow("tool", TOPIC, topics.events, WRITE)
    marker = await request_erasure(tool, topics, person=b"u:1", asked_at_ms=7)
    assert marker.offset == 0
    await secured_kafka.allow("tool", TOPIC, topics.events, READ)
    assert await log_range_of(tool, topics.events, partition=marker.partition) == LogRange(0, 1)
    await secured_kafka.allow("tool", TOPIC, topics.rejected, READ)
    async with DeadLetterReader(tool, topics.rejected) as letters:
        assert [page async for page in letters.read()] == []


async def test_a_worker_without_the_right_to_its_group_ends(
    secured_kafka: SecuredKafka, valkey: ValkeyServer, fresh_space: str, tmp_path: Path
) -> None:
    topics = Topics(fresh_space)
    await ensure_topics(secured_kafka.servers("admin"), topics, partitions=PARTITIONS)
    await secured_kafka.allow("weak", TOPIC, topics.events, READ)
    env = secured_kafka.variables("weak") | {"FUNNELCAST_SPACE": fresh_space, "FUNNELCAST_REDIS": valkey.url}
    code, _, errors = run_command("worker", state_dir=tmp_path, env=env)
    assert code == 70, errors
    assert f"group {topics.group} (GroupAuthorizationFailedError)" in errors.splitlines()[-1]


async def test_a_worker_that_may_only_see_its_topic_ends(
    secured_kafka: SecuredKafka, valkey: ValkeyServer, fresh_space: str, tmp_path: Path
) -> None:
    topics = Topics(fresh_space)
    await ensure_topics(secured_kafka.servers("admin"), topics, partitions=PARTITIONS)
    await secured_kafka.allow("weak", TOPIC, topics.events, DESCRIBE)
    await secured_kafka.allow("weak", GROUP, topics.group, READ)
    await request_erasure(secured_kafka.servers("admin"), topics, person=b"u:1", asked_at_ms=7)
    env = secured_kafka.variables("weak") | {"FUNNELCAST_SPACE": fresh_space, "FUNNELCAST_REDIS": valkey.url}
    code, _, errors = run_command("worker", state_dir=tmp_path, env=env)
    assert code == 70, errors
    assert "TopicAuthorizationFailedError" in errors
    assert topics.events in errors


def test_a_replay_through_it_prints_what_memory_prints(
    secured_kafka: SecuredKafka, valkey: ValkeyServer, tmp_path: Path
) -> None:
    log = tmp_path / "events.jsonl"
    at = 1735725600000
    events = [{"id": f"e{n}", "name": "lead", "user_id": f"u{n % 90}", "occurred_at_ms": at + n} for n in range(300)]
    log.write_text("\n".join(map(json.dumps, events)))
    options = ("replay", "--events", str(log), "--json")
    code, in_memory, errors = run_command(*options, state_dir=tmp_path)
    assert code == 0, errors
    env = secured_kafka.variables("admin") | {"FUNNELCAST_REDIS": valkey.url}
    code, out, errors = run_command(*options, "--through", "stack", state_dir=tmp_path, env=env)
    assert (code, out) == (0, in_memory), errors


async def test_an_enricher_needs_its_topic_and_its_group(secured_kafka: SecuredKafka, fresh_space: str) -> None:
    topics, stop = Topics(fresh_space), asyncio.Event()
    await ensure_topics(secured_kafka.servers("admin"), topics, partitions=PARTITIONS)
    await secured_kafka.allow("enricher", TOPIC, topics.hooks, READ)

    async def work_on(hook: bytes) -> None:
        """There is none."""

    def consumer() -> HookConsumer:
        servers, group = secured_kafka.servers("enricher"), topics.enricher_group
        return HookConsumer(kafka=servers, topic=topics.hooks, group=group, work_on=work_on, window=1)

    with pytest.raises(KafkaRefusedError, match="GroupAuthorizationFailedError"):
        await asyncio.wait_for(consumer().run(stop), LIMIT)
    await secured_kafka.allow("enricher", GROUP, topics.enricher_group, READ)
    allowed = consumer()
    running = asyncio.create_task(allowed.run(stop))
    await until(lambda: allowed.is_reading or running.done())
    stop.set()
    await running


async def test_collector_and_worker_count_exactly_with_the_rights_that_are_documented(
    secured_kafka: SecuredKafka, valkey: ValkeyServer, fresh_space: str, tmp_path: Path
) -> None:
    topics = Topics(fresh_space)
    await ensure_topics(secured_kafka.servers("admin"), topics, partitions=PARTITIONS)
    for topic in (topics.events, topics.rejected, topics.hooks):
        await secured_kafka.allow("collector", TOPIC, topic, WRITE)
    await secured_kafka.allow("worker", TOPIC, topics.events, READ)
    await secured_kafka.allow("worker", TOPIC, topics.late, WRITE)
    await secured_kafka.allow("worker", GROUP, topics.group, READ)
    shared = {"FUNNELCAST_SPACE": fresh_space, "FUNNELCAST_REDIS": valkey.url, "FUNNELCAST_FUNNELS": "sales"}
    port, health = free_port(), free_port()
    collector = start_command(
        "collector",
        "--open",
        "--port",
        str(port),
        state_dir=tmp_path / "collector",
        env=shared | secured_kafka.variables("collector"),
    )
    worker = start_command(
        "worker",
        "--health-port",
        str(health),
        state_dir=tmp_path / "worker",
        env=shared | secured_kafka.variables("worker"),
    )
    try:
        for process, where in ((collector, port), (worker, health)):

            async def answers(process: object = process, where: int = where) -> bool:
                assert collector.poll() is None, collector.stderr and collector.stderr.read().decode()
                assert worker.poll() is None, worker.stderr and worker.stderr.read().decode()
                return await status_of(where, "/readyz") == 200

            await until(answers, what="ready")
        events = [{"id": f"e{n}", "name": "lead", "user_id": f"u{n}"} for n in range(EVENTS)]
        async with plain_client() as client:
            for start in range(0, EVENTS, PER_REQUEST):
                answer = await client.post(
                    f"http://127.0.0.1:{port}/v1/events", json=events[start : start + PER_REQUEST]
                )
                assert answer.status_code == 200, answer.text

            again = await client.post(f"http://127.0.0.1:{port}/v1/events", json=events[:PER_REQUEST])
            assert again.status_code == 200
        reader = RedisCounterReader(store := connect_store(valkey.url), fresh_space)

        async def is_done() -> bool:
            return await _input(reader) == (EVENTS, EVENTS, PER_REQUEST)

        await until(is_done, every=0.2, what="everything counted")
        await store.aclose()
    finally:
        for process in (collector, worker):
            process.terminate()
            process.communicate(timeout=LIMIT)
    assert (collector.returncode, worker.returncode) == (0, 0)
