"""`make up`: everything starts, an event reaches every place, killed containers lose nothing, the demo has visitors."""

from __future__ import annotations

import os
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.compose.conftest import Composed
from tests.compose.engine import EngineError
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1_800)]

FUNNELCAST = Path(sys.executable).with_name("funnelcast")
KILLED = ("worker", "valkey", "kafka", "collector")
"""In this order while events come in."""
READY_SECONDS = 120.0


def _leads(path: Path, batch: str, count: int) -> Path:
    """One lead a person."""
    events = ({"id": f"{batch}-{n}", "name": "lead", "anonymous_id": f"{batch}-{n}"} for n in range(count))
    path.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    return path


def _send(composed: Composed, file: Path) -> dict[str, Any]:
    words = ["--url", "http://127.0.0.1:8080", "--key", composed.key("crm"), "--json"]
    answer: dict[str, Any] = orjson.loads(composed.engine.inside([FUNNELCAST, "send", file, *words]))
    return answer


def _on_metrics(composed: Composed, stage: str = "lead") -> int:
    try:
        text = composed.get("http://127.0.0.1:9102/metrics")
    except EngineError:
        return 0  # it is being restarted, or its store is
    found = re.search(rf'^funnel_stage_entries\w*{{.*stage="{stage}".*}} (\d+)', text, re.MULTILINE)
    return int(found[1]) if found else 0


def _kill(composed: Composed, service: str) -> None:
    """As a crash does: the engine was not asked, so it starts the container again."""
    for container in composed.compose("ps", "-q", service).split():
        pid = composed.engine.docker("inspect", "-f", "{{.State.Pid}}", container)
        os.kill(int(pid), signal.SIGKILL)


@pytest.fixture(scope="session")
def counted(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> int:
    """So many leads were sent and are on /metrics."""
    answer = _send(composed, _leads(tmp_path_factory.mktemp("leads") / "first.jsonl", "first", 300))
    assert answer["accepted"] == 300
    wait_until(lambda: _on_metrics(composed) == 300, seconds=READY_SECONDS, what="leads on /metrics")
    return 300


def test_every_container_runs_and_is_healthy_or_has_done_its_work(composed: Composed) -> None:
    services = composed.services()
    assert {name for name in services if name.endswith("-init")} == {"topics-init", "keys-init"}
    for name, containers in services.items():
        for container in containers:
            if name.endswith("-init"):
                assert (container["State"], container["ExitCode"]) == ("exited", 0), container
            else:
                assert container["State"] == "running", container
                assert container["Health"] in ("healthy", ""), container
    assert len(services["worker"]) == 2


def test_no_key_is_in_a_log(composed: Composed) -> None:
    logs = composed.compose("logs", "--no-color")
    assert composed.key("web") not in logs
    assert composed.key("read") not in logs
    assert composed.key("crm") not in logs
    assert not re.search(r"\bfc[a-z]_[A-Za-z0-9_-]{16,}", logs)


def test_prometheus_scrapes_every_process_and_understands_every_rule(composed: Composed, counted: int) -> None:
    def targets() -> dict[str, str]:
        found = orjson.loads(composed.get("http://127.0.0.1:9090/api/v1/targets"))["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in found}

    wait_until(lambda: set(targets().values()) == {"up"}, seconds=READY_SECONDS, what=lambda: str(targets()))
    assert {"collector", "exporter", "worker"} <= set(targets())
    groups = orjson.loads(composed.get("http://127.0.0.1:9090/api/v1/rules"))["data"]["groups"]
    assert len(groups) > 5
    assert not [rule for group in groups for rule in group["rules"] if rule["health"] == "err"]

    def scraped() -> float:
        url = "http://127.0.0.1:9090/api/v1/query?query=sum(funnel_stage_entries%7Bstage%3D%22lead%22%7D)"
        values = orjson.loads(composed.get(url))["data"]["result"]
        return float(values[0]["value"][1]) if values else 0.0

    wait_until(lambda: scraped() >= counted, seconds=READY_SECONDS, what=lambda: str(scraped()))


def test_reports_are_served_to_those_who_have_the_key(composed: Composed, counted: int) -> None:
    url = "http://127.0.0.1:8090/v1/reports?grain=total"
    with pytest.raises(EngineError, match="401"):
        composed.get(url)
    reports = orjson.loads(composed.get(url, f"Authorization: Bearer {composed.key('read')}"))
    (report,) = (one for one in reports if one["funnel"] == "sales")
    assert report["counters"]["total"]["all"][""]["lead"]["entries"] >= counted


def test_killed_containers_lose_nothing(composed: Composed, counted: int, tmp_path: Path) -> None:
    before = _on_metrics(composed)
    files = [_leads(tmp_path / f"{batch}.jsonl", f"killed-{batch}", 2_000) for batch in range(len(KILLED) + 1)]
    with ThreadPoolExecutor(1) as thread:
        for service, file in zip(KILLED, files, strict=False):
            sending = thread.submit(_send, composed, file)
            _kill(composed, service)
            assert sending.result()["accepted"] == 2_000
    assert _send(composed, files[-1])["accepted"] == 2_000
    expected = before + 2_000 * len(files)
    wait_until(
        lambda: _on_metrics(composed) >= expected, seconds=READY_SECONDS, what=lambda: str(_on_metrics(composed))
    )
    assert _on_metrics(composed) == expected


def test_the_demo_profile_sends_visitors(composed: Composed, counted: int) -> None:
    composed.compose("--profile", "demo", "up", "-d", "--no-build", "visitors")
    try:
        wait_until(lambda: _on_metrics(composed, "payment") > 0, seconds=READY_SECONDS, what="payments on /metrics")
    finally:
        composed.compose("--profile", "demo", "stop", "visitors")
