"""`funnelcast doctor` against a real broker and store: what is well, what is not, and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from producers.access.keys import create_key
from producers.ingest.verdicts import Scope
from schemas.funnel.presets import preset_text
from schemas.record import encode_tick
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.command import run_command
from tests.support.stack import StackAddresses
from tests.support.waiting import until
from tests.support.worker_processes import Workers


def diagnose(directory: Path, code: int, *arguments: str, **env: str) -> dict[str, list[tuple[str, str]]]:
    """(level, text) by part."""
    exit_code, out, err = run_command("doctor", "--json", *arguments, state_dir=directory, env=env)
    assert exit_code == code, out.decode() + err
    document: dict[str, Any] = json.loads(out)
    assert document["ok"] is (code == 0)
    findings: dict[str, list[tuple[str, str]]] = {}
    for finding in document["findings"]:
        findings.setdefault(finding["part"], []).append((finding["level"], finding["text"]))
    return findings


def test_without_anything_it_says_what_to_set(tmp_path: Path) -> None:
    findings = diagnose(tmp_path, 1, "--funnels", "sales,nosuch.yaml")
    assert [level for level, _ in findings["funnels"]] == ["ok", "problem"]
    assert findings["kafka"][0][0] == "problem"
    assert "FUNNELCAST_KAFKA" in findings["kafka"][0][1]
    assert "FUNNELCAST_REDIS" in findings["redis"][0][1]
    assert findings["keys"] == [("warning", "no file of keys: set FUNNELCAST_KEYS and run `funnelcast keys create`")]


def test_nobody_listens(tmp_path: Path) -> None:
    findings = diagnose(tmp_path, 1, "--kafka", "127.0.0.1:9", "--redis", "redis://:secret@127.0.0.1:9")
    assert findings["kafka"][0][0] == "problem"
    assert findings["redis"][0][0] == "problem"
    assert "secret" not in str(findings)


async def test_topics_are_missing_then_nothing_is_counted_then_all_is_well(
    embedded_stack: StackAddresses, env: dict[str, str], workers: Workers, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    create_key(keys, source="web", scope=Scope.BROWSER, created_at="2025-01-01T00:00:00+00:00")
    given = {**env, "FUNNELCAST_KEYS": str(keys)}
    findings = diagnose(tmp_path, 1, **given)
    assert {text.partition(": ")[2] for _, text in findings["topics"]} == {"run `funnelcast topics create`"}
    await ensure_topics(embedded_stack.kafka, Topics(env["FUNNELCAST_SPACE"]), partitions=2)
    findings = diagnose(tmp_path, 0, **given)
    assert {level for level, _ in findings["topics"]} == {"ok"}
    assert "does a worker run" in findings["counting"][0][1]
    await workers.start()
    assert "counted no record yet" in diagnose(tmp_path, 0, **given)["counting"][-1][1]
    producer = AIOKafkaProducer(bootstrap_servers=embedded_stack.kafka)
    await producer.start()
    for partition in (0, 1):
        await producer.send_and_wait(
            Topics(env["FUNNELCAST_SPACE"]).events, encode_tick(1_767_225_600_000), partition=partition
        )
    await producer.stop()

    async def is_counted() -> bool:
        findings = diagnose(tmp_path, 0, **given)
        return [level for level, _ in findings["counting"]] == ["ok", "ok"]

    await until(is_counted, what="counted")
    keys.chmod(0o644)
    assert "others can read" in diagnose(tmp_path, 0, **given)["keys"][0][1]
    keys.unlink()
    missing = f"{keys}: No such file or directory; `funnelcast keys create` makes it"
    assert diagnose(tmp_path, 1, **given)["keys"] == [("problem", missing)]
    changed = tmp_path / "sales.yaml"
    changed.write_text(preset_text("sales").replace("abandon_after: 30m", "abandon_after: 31m"))
    findings = diagnose(tmp_path, 1, **{**given, "FUNNELCAST_FUNNELS": str(changed)})
    assert "another definition" in findings["counting"][0][1]
