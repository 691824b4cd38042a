"""`funnelcast tail` against a real broker: what was taken, what no rule looks at, what was rejected."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import There
from tests.support.command import run_command, start_command
from tests.support.stack import StackAddresses
from tests.support.waiting import LIMIT

FUNNEL = """
name: shop
conversion_window: 1d
stages:
  - {name: visit, on: [{event: page_view, where: {page: /shop}}]}
  - {name: payment, on: [payment], order: true}
lost: [{on: [gone], reason: price}]
"""
EVENTS: list[dict[str, Any]] = [
    {"id": "1", "name": "page_view", "anonymous_id": "v1", "properties": {"page": "/shop"}},
    {"id": "2", "name": "page_view", "anonymous_id": "v1", "properties": {"page": "/\u001b]0;owned\u0007"}},
    {"id": "3", "name": "Payment", "user_id": "u1", "properties": {"value": 5}},
    {"id": "4", "name": "gone", "user_id": "u1", "properties": {"traffic": "staff"}},
    {"id": "5", "name": "page_view\u001b[31m", "user_id": "u1"},
    {"id": "6", "name": "page_view"},
]


@pytest.fixture
async def asked(there: There, tmp_path: Path) -> tuple[list[str], Path]:
    """The command for a space with these events."""
    collector = there.running
    answer = await collector.post(EVENTS, headers={"X-Write-Key": there.key})
    assert answer.status_code == 200
    funnel = tmp_path / "shop.yaml"
    funnel.write_text(FUNNEL)
    place = ["--kafka", collector.kafka, "--space", collector.topics.space]
    return ["tail", *place, "--funnel", str(funnel)], tmp_path


async def test_every_event_has_a_verdict_and_a_stage(asked: tuple[list[str], Path]) -> None:
    command, directory = asked
    code, out, err = await asyncio.to_thread(run_command, *command, "--no-follow", "--json", state_dir=directory)
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    told = {(line["person"], line["name"], line["verdict"], line["stages"].get("shop@1")) for line in lines}
    assert told == {
        ("anonymous:v1", "page_view", "accepted", "visit"),
        ("anonymous:v1", "page_view", "accepted", "-"),
        ("user:u1", "payment", "accepted", "order"),
        ("user:u1", "gone", "accepted", "left out: staff"),
        ("user:u1", "page_view\u001b[31m", "accepted", "-"),
        ("", "page_view", "rejected: missing_person", None),
    }
    assert {line["source"] for line in lines} == {"shop"}


async def test_filters_and_a_table_that_steers_no_terminal(asked: tuple[list[str], Path]) -> None:
    command, directory = asked
    code, out, _ = await asyncio.to_thread(run_command, *command, "--no-follow", "--person", "u1", state_dir=directory)
    assert code == 0
    assert b"\x1b" not in out
    assert out.count(b"user:u1") == 3
    assert b"v1" not in out
    nobody = (*command, "--no-follow", "--person", "nobody")
    code, out, said = await asyncio.to_thread(run_command, *nobody, state_dir=directory)
    assert (code, len(out.splitlines())) == (0, 1)
    assert "nothing to show among the last 20 records" in said


async def test_it_goes_on_until_it_is_told_to_end(asked: tuple[list[str], Path]) -> None:
    command, directory = asked
    process = start_command(*command, "--json", state_dir=directory)
    assert process.stdout is not None
    first = await asyncio.to_thread(process.stdout.readline)
    assert json.loads(first)["source"] == "shop"
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.to_thread(process.communicate, timeout=LIMIT)
    assert process.returncode == 0
    assert err == b""


async def test_a_report_without_a_stage_says_which_events_no_funnel_looks_at(
    asked: tuple[list[str], Path], embedded_stack: StackAddresses
) -> None:
    (_, *place, funnel), directory = asked
    place = [*place[:-1], "--redis", embedded_stack.redis, "--funnels", funnel]
    code, out, err = await asyncio.to_thread(run_command, "report", *place, state_dir=directory)
    assert code == 0, err
    text = " ".join(out.decode().split())
    assert "shop does not look at: page_view\\u001b[31m (1 event; did you mean 'page_view'?)." in text
    assert "no condition of shop holds for: page_view (1)." in text
    assert "not counted: rejected: missing_person (1)" in text
    code, out, err = await asyncio.to_thread(run_command, "report", *place, "--json", state_dir=directory)
    assert json.loads(out)["input"]["accepted"] == 0
