"""A replay prints the same document through memory and through every process there is, also when those are killed."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

import orjson
import psutil
import pytest
import redis.asyncio

from funnelcast.chaos.events import START_MS, arrivals, make_events
from funnelcast.processes.ports import free_port
from funnelcast.replay.memory import Refusals, ReplayJob
from funnelcast.replay.stack import fresh_space, replay_through_stack
from funnelcast.stack.embedded import EmbeddedStack
from producers.simulator.simulator import simulate
from schemas.errors import NeedsHumanError
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.funnel.parts import LostRule, Stage
from schemas.funnel.presets import preset_names
from streams.store.port import StoreUnavailableError
from streams.store.reader import RedisCounterReader
from tests.support.broker import OwnBroker
from tests.support.command import run_command, start_command
from tests.support.stack import StackAddresses
from tests.support.thorough import cases
from tests.support.valkey import ValkeyServer
from tests.support.waiting import LONG_LIMIT, until

FUNNEL = str(resources.files("funnelcast") / "data" / "chaos.yaml")
WATERMARK_MS = START_MS + 20 * 86_400_000


def write_log(path: Path, count: int) -> Path:
    """Events of a few days in log order, duplicates and disorder included, a tick among them, and what was spent."""
    log = arrivals(11, make_events(11, count))
    with path.open("wb") as file:
        for number, (received_at_ms, event) in enumerate(log):
            file.write(orjson.dumps(event.native(received_at_ms)) + b"\n")
            if number % 20 == 0:
                file.write(orjson.dumps(spend(number, received_at_ms)) + b"\n")
            if number == len(log) // 2:
                file.write(b'{"tick": %d}\n' % received_at_ms)
    return path


def spend(number: int, received_at_ms: int) -> dict[str, Any]:
    """A statement of one of three campaigns of two days, stated again and again."""
    properties = {"day": f"2025-01-0{1 + number % 40 // 20}", "channel": "google", "campaign": f"c{number % 3}"}
    members = {"id": f"spend-{number}", "name": "ad_spend", "source": "ads", "occurred_at_ms": received_at_ms}
    return {**members, "properties": {**properties, "value": f"{number}.50", "currency": "EUR"}}


def replay(log: Path, state_dir: Path, *more: str) -> bytes:
    arguments = ("replay", "--events", str(log), "--watermark", str(WATERMARK_MS), "--json", *more)
    code, out, err = run_command(*arguments, state_dir=state_dir)
    assert code == 0, err
    return out


def test_stack_prints_what_memory_prints(tmp_path: Path, embedded_stack: StackAddresses) -> None:
    count = cases(4_000, few=1_500)
    log = write_log(tmp_path / "events.jsonl", count)
    options = ("--funnel", FUNNEL, "--funnel", "sales", "--partitions", "3")
    in_memory = replay(log, tmp_path, *options)
    addresses = ("--kafka", embedded_stack.kafka, "--redis", embedded_stack.redis)
    through_stack = replay(log, tmp_path, *options, "--through", "stack", "--workers", "2", *addresses)
    assert through_stack == in_memory
    documents = json.loads(in_memory)
    assert [one["funnel"] for one in documents] == ["chaos", "sales"]
    assert [one["watermark_ms"] for one in documents] == [WATERMARK_MS] * 2
    assert documents[0]["input"]["accepted"] == count
    assert len(documents[1]["counters"]["day"]["2025-01-02"]["channel=google"][""]["spend"]) == 1


def of_presets(seed: int, directory: Path, funnels: list[Funnel]) -> Path:
    """Messy simulated people, once for each preset, under the names of its events, in one log."""
    code, out, err = run_command("simulate", "--seed", str(seed), "--events", "300", "--messy", state_dir=directory)
    assert code == 0, err
    rng, path = Random(seed), directory / "presets.jsonl"
    with path.open("wb") as file:
        for line in out.splitlines():
            for funnel in funnels:
                file.write(orjson.dumps(_told_as(rng, orjson.loads(line), funnel)) + b"\n")
    return path


def _told_as(rng: Random, event: dict[str, Any], funnel: Funnel) -> dict[str, Any]:
    def names(stages: Sequence[Stage | LostRule]) -> list[str]:
        return [rule.event for stage in stages for rule in stage.on if not rule.where]

    name, orders = event["name"], [stage for stage in funnel.stages if stage.nth is not None]
    if name in ("payment", "order_paid"):
        name = rng.choice(names(orders))
    elif name in ("offer_declined", "lead_lost"):
        name = rng.choice(names(funnel.lost))
    elif name not in ("refund", "order_withdrawn", "order_restated"):
        name = rng.choice(names([stage for stage in funnel.stages if stage.nth is None]))
    ids = {key: value for key in ("anonymous_id", "contact_id", "user_id") if (value := event.get(key))}
    own = {  # but for ids that are none
        key: f"{value}-{funnel.name}" if "-" in value else value for key, value in {**ids, "id": event["id"]}.items()
    }
    return {**event, **own, "name": name}


def test_presets_through_the_stack(tmp_path: Path, embedded_stack: StackAddresses) -> None:
    """Several at once over one log: copies, disorder, late events, merges, deals side by side, refunds, withdrawals."""
    funnels = [load_funnel(name) for name in preset_names()]
    log = of_presets(5, tmp_path, funnels)
    options = [*(part for funnel in funnels for part in ("--funnel", funnel.name)), "--partitions", "3"]
    in_memory = replay(log, tmp_path, *options)
    addresses = ("--kafka", embedded_stack.kafka, "--redis", embedded_stack.redis)
    assert replay(log, tmp_path, *options, "--through", "stack", "--workers", "2", *addresses) == in_memory
    documents = json.loads(in_memory)
    assert [document["funnel"] for document in documents] == [funnel.name for funnel in funnels]
    seen = {number for document in documents for number, amount in document["input"].items() if amount}
    assert seen >= {"duplicates", "late", "placeholder_ids"}
    cells = [cell for document in documents for cell in document["counters"]["total"]["all"][""].values()]
    assert {family for cell in cells for family in cell} >= {
        "refunds",
        "revenue",
        "lost.cohort",
        "skipped",
        "completed",
    }


async def test_nothing_stays_on_given_servers(tmp_path: Path, embedded_stack: StackAddresses) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    log = write_log(tmp_path / "events.jsonl", 200)
    addresses = ("--kafka", embedded_stack.kafka, "--redis", embedded_stack.redis)
    alone = ("--funnel", FUNNEL, "--partitions", "1")
    in_memory = await asyncio.to_thread(replay, log, tmp_path, *alone)
    assert await asyncio.to_thread(replay, log, tmp_path, *alone, "--through", "stack", *addresses) == in_memory
    client = redis.asyncio.Redis.from_url(embedded_stack.redis)
    try:
        left = [key async for key in client.scan_iter(match="*replay-*")]
    finally:
        await client.aclose()
    assert left == []
    admin = AIOKafkaAdminClient(bootstrap_servers=embedded_stack.kafka)
    await admin.start()
    try:
        assert [topic for topic in await admin.list_topics() if "replay-" in topic] == []
    finally:
        await admin.close()
    assert not any(name.startswith("replay-") for name in os.listdir(tmp_path))


@pytest.mark.parametrize("gone", ["kafka", "redis"])
async def test_servers_that_go_away_before_the_tidying_cost_a_warning_and_no_result(
    tmp_path: Path, embedded_stack: StackAddresses, gone: str
) -> None:
    (tmp_path / "valkey").mkdir()
    broker, valkey = OwnBroker(tmp_path), ValkeyServer(tmp_path / "valkey")
    log = write_log(tmp_path / "events.jsonl", 1)
    job = ReplayJob((load_funnel("sales"),), ("sales",), log, None)
    warnings: list[str] = []
    try:
        broker.start()
        valkey.start()
        async with (
            EmbeddedStack(tmp_path, kafka=broker.address, redis=valkey.url) as stack,
            fresh_space(stack, tmp_path, job=job, warn=warnings.append, tidy_seconds=1) as site,
        ):
            (broker if gone == "kafka" else valkey).kill()
    finally:
        broker.kill()
        valkey.kill()
    assert len(warnings) == 1
    assert site.space in warnings[0]
    assert "could not be removed" in warnings[0]


def children_of(pid: int, part: str) -> list[psutil.Process]:
    children = []
    for child in psutil.Process(pid).children():
        try:
            # an option `--workers` is the command's own, in a copy of it that has not become a worker yet
            if any(part in argument and argument[:2] != "--" for argument in child.cmdline()):
                children.append(child)
        except psutil.NoSuchProcess:
            continue
    return children


async def kill_one(pid: int, part: str) -> None:
    """kill -9 a child once there is one, and wait for its successor."""
    victim = (await until(lambda: children_of(pid, part), what=f"a {part} to kill"))[0]
    victim.kill()

    def is_back() -> bool:
        return any(child.pid != victim.pid for child in children_of(pid, part))

    await until(is_back, every=0.05, what=f"{part} is back")


async def applied(pid: int, at_least: int) -> None:
    """Wait until the workers of a replay have applied this many records."""
    worker = (await until(lambda: children_of(pid, "worker"), every=0.05, what="a worker"))[0]
    settings = worker.environ()
    client = redis.asyncio.Redis.from_url(settings["FUNNELCAST_REDIS"], protocol=2)
    reader = RedisCounterReader(client, settings["FUNNELCAST_SPACE"])

    async def are_applied() -> bool:
        try:
            statuses = [await reader.status(partition) for partition in await reader.partitions()]
        except StoreUnavailableError:
            return False
        return sum(status.offset for status in statuses if status is not None) >= at_least

    try:
        await until(are_applied, every=0.05, what=f"{at_least} records applied")
    finally:
        await client.aclose()


async def test_kills_in_the_middle_change_nothing(tmp_path: Path) -> None:
    log = write_log(tmp_path / "events.jsonl", 25_000)
    options = (
        "--funnel",
        FUNNEL,
        "--events",
        str(log),
        "--watermark",
        str(WATERMARK_MS),
        "--partitions",
        "2",
        "--json",
    )
    process = start_command("replay", *options, "--through", "stack", "--workers", "2", state_dir=tmp_path)
    try:
        await applied(process.pid, 1)
        for part in ("collector", "valkey-server", "worker", "collector", "valkey-server"):
            assert process.poll() is None, "the replay was over before it was disturbed"
            await kill_one(process.pid, part)
        out, err = await asyncio.to_thread(process.communicate, timeout=LONG_LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, err.decode()
    assert err.count(b"SIGKILL") == 5, err.decode()
    code, in_memory, message = await asyncio.to_thread(run_command, "replay", *options, state_dir=tmp_path)
    assert code == 0, message
    assert out == in_memory


async def test_ids_are_linked_across_partitions_while_workers_die(tmp_path: Path) -> None:
    """A messy shop whose visitors are a device, a contact and an account, in turn: months within seconds."""
    log = tmp_path / "events.jsonl"
    events = simulate(seed=7, events=2_000, messy=True)
    log.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    options = ("--funnel", "sales", "--events", str(log), "--partitions", "3", "--json")
    process = start_command("replay", *options, "--through", "stack", "--workers", "2", state_dir=tmp_path)
    try:
        for records, part in ((300, "worker"), (900, "valkey-server"), (1_500, "worker")):
            await applied(process.pid, records)
            assert process.poll() is None, "the replay was over before it was disturbed"
            await kill_one(process.pid, part)
        out, err = await asyncio.to_thread(process.communicate, timeout=LONG_LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, err.decode()
    code, in_memory, message = await asyncio.to_thread(run_command, "replay", *options, state_dir=tmp_path)
    assert code == 0, message
    assert out == in_memory
    document = json.loads(in_memory)
    paid = document["counters"]["total"]["all"][""]["payment"]
    assert paid["lead_time"], "no payment is led to by a visit: nothing was linked"


def test_refused_lines_are_named_and_do_not_stop_it(tmp_path: Path, embedded_stack: StackAddresses) -> None:
    log = tmp_path / "events.jsonl"
    lines = [
        b'{"id": "1", "name": "click", "anonymous_id": "v", "occurred_at_ms": 1735725600000}',
        b'{"id": "2"',
        b"",
        b'{"id": "3", "name": "click", "anonymous_id": "v"}',
        b'{"id": "4", "name": "click", "occurred_at_ms": 1735725600000}',
        b'["an", "array"]',
        b'{"id": "5", "name": "lead", "anonymous_id": "v", "occurred_at_ms": 1735725601000}',
    ]
    log.write_bytes(b"\n".join(lines))
    documents = []
    for more in ((), ("--through", "stack", "--kafka", embedded_stack.kafka, "--redis", embedded_stack.redis)):
        code, out, err = run_command("replay", "--events", str(log), "--json", *more, state_dir=tmp_path)
        assert code == 0
        refused = [line.split(": ")[:3] for line in err.splitlines() if ": rejected: " in line]
        assert sorted(refused) == [
            [f"{log}:2", "rejected", "malformed_json"],
            [f"{log}:4", "rejected", "invalid_time"],
            [f"{log}:5", "rejected", "missing_person"],
            [f"{log}:6", "rejected", "not_an_object"],
        ]
        assert "4 lines rejected" in err
        documents.append(out)
    assert documents[0] == documents[1]
    assert json.loads(documents[0])["input"]["accepted"] == 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    code, out, err = run_command("replay", "--events", str(tmp_path / "none.jsonl"), "--json", state_dir=tmp_path)
    assert (code, out) == (2, b"")
    assert "none.jsonl cannot be read" in err


def test_an_empty_file_is_an_empty_document(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes(b"")
    code, out, _ = run_command("replay", "--events", str(log), "--json", state_dir=tmp_path)
    assert code == 0
    assert json.loads(out)["counters"] == {}


async def test_a_port_given_twice_ends_it_at_once_and_names_the_log(
    tmp_path: Path, embedded_stack: StackAddresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setattr("funnelcast.replay.stack.free_port", lambda: port)
    log = write_log(tmp_path / "events.jsonl", 10)
    job = ReplayJob(funnels=(load_funnel("sales"),), references=("sales",), events=log, watermark_ms=WATERMARK_MS)
    with pytest.raises(NeedsHumanError) as caught:
        await replay_through_stack(
            job, Refusals(log), state_dir=tmp_path, kafka=embedded_stack.kafka, redis=embedded_stack.redis
        )
    first, *_, last = str(caught.value).splitlines()
    assert re.match(r"(worker-1|collector) ended with exit code 2; its log \S+\.log ends:", first)
    assert "cannot listen" in str(caught.value)
    directory = Path(last.removeprefix("logs and data of this run are kept in "))
    assert (directory / "logs" / "worker-1.log").is_file()


def test_an_import_file_is_counted_as_its_events_are_and_says_whether_every_row_was_taken(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id;who;at;sum\n1;u1;31.01.2025;19,90\n2;u2;01.02.2025;5,00\n3;u3;soon;1\n")
    file = tmp_path / "f.yaml"
    file.write_text(
        """
        inputs: [{file: f.csv, decimal: ",", times: {at: {order: dmy}}}]
        events: [{name: payment, at: at, id: id, user_id: who, value: sum}]
        """
    )
    log = tmp_path / "events.jsonl"
    log.write_text(
        '{"id":"1","name":"payment","occurred_at":"2025-01-31","user_id":"u1","properties":{"value":"19.90"}}\n'
        '{"id":"2","name":"payment","occurred_at":"2025-02-01","user_id":"u2","properties":{"value":"5.00"}}\n'
    )
    code, imported, err = run_command("replay", "--import", str(file), "--json", state_dir=tmp_path)
    assert (code, "f.csv:4: invalid_time" in err) == (1, True), err
    code, counted, err = run_command("replay", "--events", str(log), "--json", state_dir=tmp_path)
    assert (code, imported) == (0, counted), err
    log.write_text('{"id":"1"}\nnonsense\n')
    code, out, err = run_command("replay", "--events", str(log), "--json", state_dir=tmp_path)
    assert code == 2
    assert json.loads(out)["input"]["accepted"] == 0
    assert "2 lines rejected" in err
