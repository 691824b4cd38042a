"""A replay through every process there is prints what one through memory prints, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
import redis.asyncio

from funnelcast.processes.deployment import Deployment
from funnelcast.replay.memory import Refusals, ReplayJob
from funnelcast.replay.stack import fresh_space, replay_through_stack
from funnelcast.stack.embedded import EmbeddedStack
from schemas.errors import NeedsHumanError
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.funnel.parts import LostRule, Stage
from schemas.funnel.presets import preset_names
from tests.support.broker import OwnBroker
from tests.support.command import run_command
from tests.support.replay_logs import FUNNEL, WATERMARK_MS, replay, write_log
from tests.support.stack import StackAddresses
from tests.support.thorough import cases
from tests.support.valkey import ValkeyServer


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


async def test_a_port_that_is_taken_ends_it_at_once_and_names_the_log(
    tmp_path: Path, embedded_stack: StackAddresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, worker = socket.create_server(("127.0.0.1", 0)), Deployment.worker
    monkeypatch.setattr(Deployment, "worker", lambda site, number: worker(site, number, taken.getsockname()[1]))
    log = write_log(tmp_path / "events.jsonl", 10)
    job = ReplayJob(funnels=(load_funnel("sales"),), references=("sales",), events=log, watermark_ms=WATERMARK_MS)
    with taken, pytest.raises(NeedsHumanError) as caught:
        await replay_through_stack(
            job, Refusals(log), state_dir=tmp_path, kafka=embedded_stack.kafka, redis=embedded_stack.redis
        )
    first, *_, last = str(caught.value).splitlines()
    assert re.match(r"worker-1 ended with exit code 2; its log \S+\.log ends:", first)
    assert "cannot listen" in str(caught.value)
    directory = Path(last.removeprefix("logs and data of this run are kept in "))
    assert (directory / "logs" / "worker-1.log").is_file()
