"""The exporter over a real Valkey, and a real Prometheus on the shipped configuration: targets, rules, dashboard."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from prometheus_client import start_http_server

from funnelcast.processes.ports import free_port
from producers.collector.metrics import CollectorMetrics
from producers.collector.spool_metrics import show_spool
from producers.webhooks.enricher_metrics import EnricherMetrics
from schemas.funnel.definition import definition_of
from schemas.record import encode_tick
from streams.exporter.cache import MAX_AGE_SECONDS
from streams.report.document import build_document, canonical_json
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from streams.worker.metrics import WorkerMetrics
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.support.counted import SHOP, fill, log_records, shop_events
from tests.support.deployed import ROOT, tool
from tests.support.http import plain_get
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

START_SECONDS = 30.0
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/funnel.json").read_text())


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def answered(check: Callable[[], bool], what: str) -> None:
    """Wait until a process answers so; no answer at all counts as another."""

    def is_so() -> bool:
        with suppress(httpx.HTTPError):
            return check()
        return False

    wait_until(is_so, seconds=START_SECONDS, every=0.1, what=what)


@dataclass(frozen=True)
class Exporter:
    """A running `funnelcast exporter`."""

    url: str
    process: subprocess.Popen[bytes]

    def page(self) -> str:
        return plain_get(f"{self.url}/metrics", timeout=10).text

    def value(self, sample: str) -> float:
        match = re.search(rf"^{re.escape(sample)} (\S+)$", self.page(), re.MULTILINE)
        assert match, f"{sample} is not on the page"
        return float(match[1])


def definition(directory: Path) -> Path:
    path = directory / "shop.json"
    path.write_text(json.dumps(definition_of(SHOP)))
    return path


def command(name: str, directory: Path, redis: str, space: str, *options: str) -> list[str]:
    shared = ["--redis", redis, "--space", space, "--funnels", str(definition(directory))]
    return [sys.executable, "-m", "funnelcast", name, *shared, *options]


@contextmanager
def running_exporter(directory: Path, redis: str, space: str) -> Iterator[Exporter]:
    port = free_port()
    log = (directory / "exporter.log").open("wb")
    process = subprocess.Popen(command("exporter", directory, redis, space, "--port", str(port)), stderr=log)
    url = f"http://127.0.0.1:{port}"
    answered(lambda: plain_get(f"{url}/healthz").status_code == 200, "the exporter answers")
    try:
        yield Exporter(url, process)
    finally:
        process.terminate()
        code = process.wait(15)
        log.close()
    assert code == 0, (directory / "exporter.log").read_text()


async def _fill(redis: str, space: str, at_ms: int) -> None:
    client = connect(redis)
    try:
        await fill(RedisPartitionStore(client, space), SHOP, now_ms=at_ms)
    finally:
        await close(client)


@dataclass(frozen=True)
class Filled:
    """A space with the shop in it."""

    redis: str
    space: str
    at_ms: int


@pytest.fixture(scope="module")
def filled(valkey_server: ValkeyServer) -> Filled:
    space, at_ms = f"m{uuid4().hex[:8]}", now_ms()
    asyncio.run(_fill(valkey_server.url, space, at_ms))
    return Filled(valkey_server.url, space, at_ms)


@pytest.fixture(scope="module")
def exporter(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    with running_exporter(tmp_path_factory.mktemp("exporter"), filled.redis, filled.space) as running:
        yield running


def test_the_page_shows_what_is_counted(exporter: Exporter) -> None:
    assert exporter.value('funnel_stage_entries{funnel="shop",stage="click",version="3"}') == 120
    assert exporter.value('funnel_stage_revenue{currency="EUR",funnel="shop",stage="payment",version="3"}') == 599.7
    assert exporter.value("funnel_redis_up") == 1
    assert plain_get(f"{exporter.url}/readyz").json() == {"ready": True, "reason": ""}


def test_promtool_likes_the_page(exporter: Exporter) -> None:
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=exporter.page(), text=True, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_report_prints_the_document_and_a_table(filled: Filled, tmp_path: Path) -> None:
    async def expected() -> bytes:
        client = connect(filled.redis)
        try:
            return canonical_json(await build_document(RedisCounterReader(client, filled.space), SHOP))
        finally:
            await close(client)

    line = command("report", tmp_path, filled.redis, filled.space)
    printed = subprocess.run([*line, "--json"], capture_output=True, check=True).stdout
    assert printed == asyncio.run(expected()) + b"\n"
    counters = json.loads(printed)["counters"]["total"]["all"][""]
    assert counters["payment"]["revenue"] == {"EUR": 59_970}
    table = subprocess.run([*line, "--dim", "channel"], capture_output=True, check=True, text=True).stdout
    assert "channel=google" in table
    wrong = subprocess.run([*line, "--dim", "city"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "channel, manager" in wrong.stderr


async def test_an_event_is_on_the_page_when_it_is_applied(valkey_server: ValkeyServer, tmp_path: Path) -> None:
    space, at_ms = f"l{uuid4().hex[:8]}", now_ms()
    client = connect(valkey_server.url)
    store = RedisPartitionStore(client, space)
    await store.check_funnels({SHOP.funnel_id: SHOP.fingerprint})
    processor = PartitionProcessor(store, 0, [SHOP])
    await processor.claim()
    entries = 'funnel_stage_entries{funnel="shop",stage="impression",version="3"}'
    with running_exporter(tmp_path, valkey_server.url, space) as app:
        assert app.value(entries) == 0
        impressions = [event for event in shop_events(at_ms, people=5) if event["name"] == "impression"]
        for number, (_, record) in enumerate(log_records(impressions, 1), 1):
            await processor.process([record], number)
            await asyncio.sleep(MAX_AGE_SECONDS)
            assert app.value(entries) == number
        await processor.process([LogRecord(None, encode_tick(at_ms), at_ms, 5)], 6)
        await asyncio.sleep(MAX_AGE_SECONDS)
        assert app.value('funnel_freshness_seconds{partition="0"}') < 30
    await close(client)


def test_a_killed_redis_does_not_take_the_page_away(own_server: ValkeyServer, tmp_path: Path) -> None:
    asyncio.run(_fill(own_server.url, "main", now_ms()))
    entries = 'funnel_stage_entries{funnel="shop",stage="click",version="3"}'
    with running_exporter(tmp_path, own_server.url, "main") as app:
        assert app.value(entries) == 120
        own_server.kill()
        answered(lambda: app.value("funnel_redis_up") == 0, "the page says so")
        assert app.value(entries) == 120  # within the patience of a scrape: see Exporter.page
        assert plain_get(f"{app.url}/readyz").status_code == 503
        own_server.start()
        answered(lambda: app.value("funnel_redis_up") == 1, "the page is fresh again")
        assert app.value(entries) == 120


# Prometheus


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        answer = plain_get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.get("query", query=expr)["result"]
        return result


def rendered_configuration(targets: dict[str, str]) -> dict[str, Any]:
    """The shipped one, with loopback targets, and in a hurry."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ROOT / "deploy/prometheus" / pattern) for pattern in config["rule_files"]]
    config["alerting"] = {}
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    return config


@pytest.fixture(scope="module")
def prometheus(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    directory = tmp_path_factory.mktemp("prometheus")
    port, worker_port, collector_port, enricher_port = (free_port() for _ in range(4))
    worker, collector = WorkerMetrics(), CollectorMetrics(pending=lambda: 0, is_up=lambda: True, routes=["/v1/events"])
    show_spool(collector, None)
    worker.store_up.set(1)
    worker.partitions.set(2)
    for partition in ("0", "1"):
        worker.lag.labels(partition).set(0)
    serving = [start_http_server(worker_port, "127.0.0.1", worker.registry)]
    serving.append(start_http_server(collector_port, "127.0.0.1", collector.registry))
    serving.append(start_http_server(enricher_port, "127.0.0.1", EnricherMetrics().registry))
    targets = {"exporter": exporter.url.removeprefix("http://"), "prometheus": f"127.0.0.1:{port}"}
    targets |= {"worker": f"127.0.0.1:{worker_port}", "collector": f"127.0.0.1:{collector_port}"}
    targets["enricher"] = f"127.0.0.1:{enricher_port}"
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(rendered_configuration(targets)))
    flags = [f"--config.file={path}", f"--storage.tsdb.path={directory / 'data'}", "--log.level=warn"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [tool("prometheus"), *flags, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
        url = f"http://127.0.0.1:{port}"
        answered(lambda: plain_get(f"{url}/-/ready").status_code == 200, "Prometheus is ready")
        server = Prometheus(url)
        ratio = "funnel_step:funnel_window_conversion:ratio"
        answered(lambda: bool(server.query(ratio)), "the rules have been evaluated on the first scrapes")
        answered(lambda: bool(server.query("rate(funnel_records_applied_total[10s])")), "two scrapes")
        yield server
        process.terminate()
        process.wait(20)
    for http, thread in serving:
        http.shutdown()
        http.server_close()
        thread.join()


def test_every_target_is_up(prometheus: Prometheus) -> None:
    answered(lambda: len(prometheus.query("up == 1")) == 5, "all targets are up")
    targets = prometheus.get("targets")["activeTargets"]
    assert {one["labels"]["job"]: one["health"] for one in targets} == dict.fromkeys(
        ("exporter", "collector", "enricher", "worker", "prometheus"), "up"
    )


def test_every_rule_is_loaded_and_healthy(prometheus: Prometheus) -> None:
    def evaluated() -> bool:
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        return len(rules) > 30 and all(rule["health"] == "ok" for rule in rules)

    answered(evaluated, "all rules are evaluated without an error")
    firing = {
        alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"] if alert["state"] == "firing"
    }
    assert firing == {"FunnelWatchdog"}


def test_recorded_ratios_are_those_of_the_shop(prometheus: Prometheus) -> None:
    for source, target, share in (("impression", "click", 0.5), ("click", "lead", 0.5), ("lead", "payment", 0.5)):
        labels = f'{{kind="step", window="24h", from="{source}", to="{target}"}}'
        (sample,) = prometheus.query(f"funnel_step:funnel_window_conversion:ratio{labels}")
        assert float(sample["value"][1]) == share
    (average,) = prometheus.query('funnel:funnel_average_order:ratio{window="24h"}')
    assert float(average["value"][1]) == pytest.approx(19.99)


def dashboard_queries() -> list[tuple[str, str]]:
    values = {"funnel": ".+", "version": ".+", "window": "24h", "dimension": "channel", "__rate_interval": "10s"}
    queries = []
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            expr = re.sub(r"\$([a-z_]+)", lambda match: values[match[1]], target["expr"])
            queries.append((f"{panel['title']} {target['refId']}", expr))
    return queries


@pytest.mark.parametrize(("title", "expr"), dashboard_queries(), ids=[title for title, _ in dashboard_queries()])
def test_every_query_of_the_dashboard_returns_data(prometheus: Prometheus, title: str, expr: str) -> None:
    samples = prometheus.query(re.sub(r" > 0$", "", expr))  # the shop has nothing late and nothing rejected
    assert samples or "offset 1w" in expr
    assert all(one["value"][1] != "NaN" for one in samples)
