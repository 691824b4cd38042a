"""The exporter over a real Valkey: its page, how fresh it is, and what is left of it while Redis is away."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.record import encode_tick
from streams.exporter.cache import MAX_AGE_SECONDS
from streams.report.document.counters import build_document, canonical_json
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.support.command import run_command
from tests.support.deployed import tool
from tests.support.http import plain_get
from tests.support.processing import log_records
from tests.support.prometheus import answered, running_prometheus
from tests.support.running_exporter import Exporter, command, fill_space, running_exporter
from tests.support.shop import SHOP, shop_events
from tests.support.valkey import ValkeyServer


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Filled:
    """A space with the shop in it."""

    redis: str
    space: str
    at_ms: int


@pytest.fixture(scope="module")
def filled(valkey_server: ValkeyServer) -> Filled:
    space, at_ms = f"m{uuid4().hex[:8]}", now_ms()
    asyncio.run(fill_space(valkey_server.url, space, at_ms))
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


def test_a_scraper_that_asks_for_protobuf_gets_what_the_text_says(exporter: Exporter, tmp_path: Path) -> None:
    """Debian's Prometheus leaves the endings of gauge histograms away; what Prometheus 3 makes of them is read by
    tests/readers."""
    asking = [tool("prometheus"), "--enable-feature=native-histograms"]
    target = exporter.url.removeprefix("http://")
    with running_prometheus(tmp_path, {"exporter": [target]}, command=asking) as server:
        answered(lambda: server.number('up{job="exporter"}') == 1, "a scrape")
        taken = server.query('{job="exporter", funnel!="", __name__!~"funnel_(stage|funnel):.+|.+_age_seconds"}')
    seen = {
        frozenset(one["metric"].items() - {("job", "exporter"), ("instance", target)}): float(one["value"][1])
        for one in taken
    }
    said = {
        frozenset({**one.labels, "__name__": one.name.removesuffix("_bucket")}.items()): one.value
        for family in text_string_to_metric_families(exporter.page())
        for one in family.samples
        if "funnel" in one.labels and not re.search("_(age_seconds|gcount|gsum)$", one.name)
    }
    histograms = {name for labels in said for name in [dict(labels)["__name__"]] if "le" in dict(labels)}
    assert len(histograms) > 3
    assert {labels: value for labels, value in seen.items() if labels in said} == said
    assert {dict(labels)["__name__"] for labels in seen.keys() - said.keys()} == histograms


def test_report_prints_the_document_and_a_table(filled: Filled, tmp_path: Path) -> None:
    async def expected() -> bytes:
        client = connect(filled.redis)
        try:
            return canonical_json(await build_document(RedisCounterReader(client, filled.space), SHOP))
        finally:
            await close(client)

    line = command("report", tmp_path, filled.redis, filled.space)
    code, printed, _ = run_command(*line, "--json", state_dir=tmp_path)
    assert code == 0
    assert printed == asyncio.run(expected()) + b"\n"
    counters = json.loads(printed)["counters"]["total"]["all"][""]
    assert counters["payment"]["revenue"] == {"EUR": 59_970}
    _, table, _ = run_command(*line, "--dim", "channel", state_dir=tmp_path)
    assert {"channel", "google"} <= {row.split()[0] for row in table.decode().splitlines() if row.strip()}
    code, _, wrong = run_command(*line, "--dim", "city", state_dir=tmp_path)
    assert (code, "channel, manager" in wrong) == (2, True)


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
    asyncio.run(fill_space(own_server.url, "main", now_ms()))
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
