"""`make up`: everything starts, an event reaches every place, killed containers lose nothing, the demo has visitors."""

from __future__ import annotations

import os
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from tests.compose.conftest import CHECKOUT, Composed
from tests.compose.engine import EngineError
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1_800)]

FUNNELCAST = Path(sys.executable).with_name("funnelcast")
KILLED = ("worker", "valkey", "kafka", "collector")
"""In this order while events come in."""
READY_SECONDS = 120.0
LATE_SECONDS = 300.0
"""A minute old, for a minute more, and the times at which Prometheus looks."""
HOOKS = """
hooks:
  - name: crm
    provider: amocrm
    secrets: [env:CRM_SECRET]
    currency: EUR
    api: {url: "http://127.0.0.1:9", token: env:CRM_TOKEN, patience: 1s, timeout: 1s}
"""
HOOK = "leads[add][0][id]=7&leads[add][0][status_id]=142&leads[add][0][pipeline_id]=1&account[id]=1"


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
    sample = re.search(rf'^funnel_stage_entries\w*{{.*stage="{stage}".*}} (\d+)', text, re.MULTILINE)
    return int(sample[1]) if sample else 0


def _kill(composed: Composed, service: str) -> None:
    """As a crash does: the engine was not asked, so it starts the container again."""
    for container in composed.compose("ps", "-q", service).split():
        pid = composed.engine.docker("inspect", "-f", "{{.State.Pid}}", container)
        os.kill(int(pid), signal.SIGKILL)


def _asked(composed: Composed, expression: str) -> list[float]:
    """What Prometheus answers, one value a series."""
    url = f"http://127.0.0.1:9090/api/v1/query?query={quote(expression)}"
    return [float(series["value"][1]) for series in orjson.loads(composed.get(url))["data"]["result"]]


@pytest.fixture(scope="session")
def counted(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> int:
    """So many leads were sent and are on /metrics."""
    answer = _send(composed, _leads(tmp_path_factory.mktemp("leads") / "first.jsonl", "first", 300))
    assert answer["accepted"] == 300
    wait_until(lambda: _on_metrics(composed) == 300, limit=READY_SECONDS, what="leads on /metrics")
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
        targets_seen = orjson.loads(composed.get("http://127.0.0.1:9090/api/v1/targets"))["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in targets_seen}

    def are_all_up() -> bool:  # workers are found by their name, some time after they have started
        seen = targets()
        return {"collector", "exporter", "worker"} <= set(seen) and set(seen.values()) == {"up"}

    wait_until(are_all_up, limit=READY_SECONDS, what=lambda: str(targets()))
    groups = orjson.loads(composed.get("http://127.0.0.1:9090/api/v1/rules"))["data"]["groups"]
    assert len(groups) > 5
    assert not [rule for group in groups for rule in group["rules"] if rule["health"] == "err"]

    def scraped() -> float:
        return sum(_asked(composed, 'funnel_stage_entries{stage="lead"}'))

    wait_until(lambda: scraped() >= counted, limit=READY_SECONDS, what=lambda: str(scraped()))


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
    wait_until(lambda: _on_metrics(composed) >= expected, limit=READY_SECONDS, what=lambda: str(_on_metrics(composed)))
    assert _on_metrics(composed) == expected


def test_the_demo_profile_sends_visitors(composed: Composed, counted: int) -> None:
    composed.compose("--profile", "demo", "up", "-d", "--no-build", "visitors")
    try:
        wait_until(lambda: _on_metrics(composed, "payment") > 0, limit=READY_SECONDS, what="payments on /metrics")
    finally:
        composed.compose("--profile", "demo", "stop", "visitors")


def test_a_hook_whose_crm_does_not_answer_is_counted_by_the_webhooks_profile(composed: Composed, counted: int) -> None:
    (CHECKOUT / "deploy" / "webhooks.yaml").write_text(HOOKS)
    (CHECKOUT / "webhooks.env").write_text("CRM_SECRET=secret-of-a-hook\nCRM_TOKEN=token\n")
    (CHECKOUT / ".env").write_text("FUNNELCAST_WEBHOOKS=/hooks/webhooks.yaml\n")
    composed.compose("--profile", "webhooks", "up", "-d", "--no-build", "--wait", "collector", "enricher")
    before = _on_metrics(composed)
    url = "http://127.0.0.1:8080/v1/webhooks/crm/secret-of-a-hook"
    composed.engine.inside(["curl", "-sS", "--fail-with-body", "-m", "10", "--data", HOOK, url])
    wait_until(lambda: _on_metrics(composed) == before + 1, limit=READY_SECONDS, what="the lead on /metrics")
    wait_until(lambda: _asked(composed, 'up{job="enricher"}') == [1], limit=READY_SECONDS, what="enricher scraped")


def test_prometheus_says_that_canaries_are_late_while_nothing_is_counted(composed: Composed, counted: int) -> None:
    firing = 'count(ALERTS{alertname="FunnelCanaryLate", alertstate="firing"})'
    composed.compose("--profile", "canary", "up", "-d", "--no-build", "--wait", "canary")
    is_fresh = "max(funnelcast_canary_age_seconds) < 30 and sum(funnelcast_canary_events_counted) > 0"
    wait_until(lambda: bool(_asked(composed, is_fresh)), limit=READY_SECONDS, what="canaries that were counted")
    leads = _on_metrics(composed)
    assert not _asked(composed, firing)
    composed.compose("stop", "worker")
    wait_until(lambda: bool(_asked(composed, firing)), limit=LATE_SECONDS, what="FunnelCanaryLate")
    composed.compose("up", "-d", "--no-build", "--wait", "worker")
    wait_until(lambda: not _asked(composed, firing), limit=LATE_SECONDS, what="the end of FunnelCanaryLate")
    assert _on_metrics(composed) == leads, "no number of business knows of canaries"
