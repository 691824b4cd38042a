"""/metrics: what a page holds, how it behaves when Redis does not, and how windows and cohorts are cut."""

from __future__ import annotations

import asyncio
import functools
import gzip
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from schemas.counters import Cells, Family, Grain, cell_field, family
from streams.exporter import catalogue
from streams.exporter.app import ExporterApp
from streams.exporter.cache import SnapshotCache
from streams.exporter.encode import Encoder
from streams.exporter.highest import Highest
from streams.exporter.page import Page
from streams.exporter.protobuf import is_asked_for
from streams.exporter.samples import fill as fill_page
from streams.exporter.snapshot import FunnelCounts, Snapshot
from streams.exporter.source import SnapshotSource
from streams.exporter.windows import cohorts_of, windows_of
from streams.state import PartitionMeta
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import PartitionView, StoreRefusedError, StoreUnavailableError
from streams.worker.partition import PartitionProcessor
from tests.support.processing import log_records
from tests.support.rows import rows
from tests.support.shop import SHOP, fill, shop_events
from tests.support.waiting import LIMIT

NOW = 1_735_725_600_000
_SPACE = MemorySpace(clock_ms=lambda: NOW)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def filled() -> MemoryCounterReader:
    """A reader of the shop; nobody writes there any more, so one is enough."""
    if not _SPACE.partitions:
        await fill(MemoryPartitionStore(_SPACE), SHOP, now_ms=NOW)
    return MemoryCounterReader(_SPACE)


def exporter(reader: Any, **options: Any) -> ExporterApp:
    source = SnapshotSource(reader, [SHOP], clock_ms=lambda: NOW, max_values=options.pop("max_values", 50))
    cache = SnapshotCache(options.pop("take", source.take), **options)
    return ExporterApp(cache, version="1.2.3", space="main", clock_ms=lambda: NOW)


@functools.cache
def samples_of(line: str) -> Samples:
    """What Prometheus' own parser reads in a line; most lines of a page were on the page before."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in text_string_to_metric_families(line)
        for sample in metric.samples
    }


async def scrape(app: ExporterApp) -> Samples:
    _, body = await app.page("")
    samples: Samples = {}
    for line in body.decode().splitlines():
        samples |= samples_of(line)
    return samples


def value(samples: Samples, name: str, **labels: str) -> float:
    wanted = frozenset({"funnel": "shop", "version": "3", **labels}.items())
    return samples[name, wanted]


def bare(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


async def test_totals_outcomes_and_money() -> None:
    samples = await scrape(exporter(await filled()))
    assert [value(samples, "funnel_stage_entries", stage=one.name) for one in SHOP.stages] == [240, 120, 60, 30]
    assert value(samples, "funnel_stage_events", stage="lost") == 20
    assert value(samples, "funnel_stage_lost", stage="lead", reason="price") == 10
    for stage in SHOP.stages:
        outcomes = ("advanced", "abandoned", "open", "completed")
        lost = sum(
            n
            for (name, labels), n in samples.items()
            if name == "funnel_stage_lost" and ("stage", stage.name) in labels
        )
        total = sum(value(samples, f"funnel_stage_{one}", stage=stage.name) for one in outcomes) + lost
        assert total == value(samples, "funnel_stage_entries", stage=stage.name)
    assert value(samples, "funnel_stage_orders", stage="payment", currency="EUR") == 30
    assert math.isclose(value(samples, "funnel_stage_revenue", stage="payment", currency="EUR"), 599.7)
    joined = value(samples, "funnel_window_orders_joined", stage="payment", window="5m")
    assert joined == value(samples, "funnel_window_orders", window="5m", currency="EUR") > 0


async def test_retries_of_ordered_senders_are_shown() -> None:
    counts = FunnelCounts(SHOP, is_same_definition=True, stats={"retries": 7})
    page = Page()
    fill_page(page, Snapshot(read_at_ms=NOW, statuses={}, gaps=0, funnels=[counts]), now_ms=NOW)
    assert page.samples["funnel_record_retries"]["shop", "3"] == 7


async def test_input_and_time() -> None:
    samples = await scrape(exporter(await filled()))
    assert value(samples, "funnel_persons_total") == 240
    assert value(samples, "funnel_events_duplicate_total") == 0
    assert bare(samples, "funnel_watermark_timestamp_seconds", partition="1") == NOW / 1000 - 60
    assert bare(samples, "funnel_watermark_lag_seconds", partition="0") == 60
    assert bare(samples, "funnel_freshness_seconds", partition="0") == 0
    assert bare(samples, "funnel_pending_deadlines", partition="0") == 0
    assert bare(samples, "funnel_redis_up") == 1
    assert bare(samples, "funnel_build_info", version="1.2.3", space="main") == 1


async def test_every_stage_window_and_value_is_there_at_zero_before_the_first_event() -> None:
    samples = await scrape(exporter(MemoryCounterReader(MemorySpace(clock_ms=lambda: 0))))
    for stage in SHOP.stages:
        assert value(samples, "funnel_stage_entries", stage=stage.name) == 0
        for window in catalogue.WINDOWS:
            assert value(samples, "funnel_window_entries", stage=stage.name, window=window) == 0
        assert value(samples, "funnel_dimension_entries", dimension="channel", value="unknown", stage=stage.name) == 0
    assert value(samples, "funnel_stage_revenue", stage="payment", currency="EUR") == 0
    assert value(samples, "funnel_stage_lost", stage="lead", reason="payment_error") == 0
    assert value(samples, "funnel_events_late_total", age="3d") == 0


async def test_every_metric_of_the_catalogue_is_on_every_page() -> None:
    names = {metric.name for metric in catalogue.METRICS} | {catalogue.SCRAPE_SECONDS}
    for reader in (await filled(), MemoryCounterReader(MemorySpace(clock_ms=lambda: 0))):
        _, body = await exporter(reader).page("")
        described = {
            re.sub(r"_(total|gsum|gcount)$", "", line.split()[2])
            for line in body.decode().splitlines()
            if line.startswith("# TYPE")
        }
        assert described == names


async def test_conversions_come_as_numerator_and_denominator() -> None:
    samples = await scrape(exporter(await filled()))
    for kind in ("period", "step"):
        labels = {"from": "impression", "to": "click", "kind": kind, "window": "24h"}
        assert value(samples, "funnel_window_conversion_numerator", **labels) == 120
        assert value(samples, "funnel_window_conversion_denominator", **labels) == 240
    overall = {"from": "impression", "to": "payment", "kind": "overall", "window": "24h"}
    assert value(samples, "funnel_window_conversion_numerator", **overall) == 30


async def test_cohorts_of_one_age() -> None:
    samples = await scrape(exporter(await filled()))
    # 120 impressions of the hour that ended five minutes before the watermark; every second one clicked a minute later
    assert value(samples, "funnel_cohort_entries", stage="impression", age="5m") == 120
    assert value(samples, "funnel_cohort_went_on", stage="impression", age="5m") == 60


async def test_dimension_values_sum_to_the_whole() -> None:
    samples = await scrape(exporter(await filled()))
    parts = [
        value(samples, "funnel_dimension_entries", dimension="channel", value=channel, stage="lead")
        for channel in ("google", "facebook", "mail")
    ]
    assert sum(parts) == value(samples, "funnel_stage_entries", stage="lead") == 60


async def test_values_beyond_the_cap_are_one_series() -> None:
    samples = await scrape(exporter(await filled(), max_values=1))
    values = {
        dict(labels)["value"]: n
        for (name, labels), n in samples.items()
        if name == "funnel_dimension_entries"
        and ("dimension", "channel") in labels
        and ("stage", "impression") in labels
    }
    assert values == {"google": 80, "other": 160, "unknown": 0}


async def test_another_definition_under_the_name_is_not_shown() -> None:
    reader = await filled()
    changed = SHOP.model_copy(update={"currency": "USD"})
    app = ExporterApp(
        SnapshotCache(SnapshotSource(reader, [changed], clock_ms=lambda: NOW).take), version="0", space="main"
    )
    samples = await scrape(app)
    assert value(samples, "funnel_definition_matches") == 0
    assert not [name for name, _ in samples if name.startswith("funnel_stage")]


def test_windows_end_with_the_bucket_of_the_newest_reception() -> None:
    minute, hour, events = NOW // 60_000, NOW // 3_600_000, family(Family.EVENTS)
    cells: Cells = {(Grain.MINUTE, minute - back, 0): {cell_field(0, 0, 0): {events: 1}} for back in range(-1, 200)}
    cells |= {(Grain.HOUR, hour - back, 0): {cell_field(0, 0, 0): {events: 100}} for back in range(-1, 180)}
    sums = {name: cell[cell_field(0, 0, 0)][events] for name, cell in windows_of(cells, NOW + 30_000).items()}
    assert sums == {"5m": 5, "1h": 60, "24h": 2400, "7d": 16_800}


def test_cohorts_have_ended_an_age_before_the_watermark() -> None:
    minute, entries = NOW // 60_000, family(Family.ENTRIES)
    cells: Cells = {
        (Grain.MINUTE, minute - back, 0): {cell_field(0, 0, 0): {entries: 1000 + back}} for back in range(200)
    }
    amount = cohorts_of(cells, NOW)["5m"][cell_field(0, 0, 0)][entries]
    # the newest bucket is the sixth last: it began six minutes and ended five minutes before the watermark
    assert amount == sum(1000 + back for back in range(6, 66))
    later = cohorts_of(cells, NOW + 59_999)["5m"][cell_field(0, 0, 0)][entries]
    assert later == amount


def test_counters_never_fall_and_gauges_do() -> None:
    highest, shown = Highest(), []
    for number in (5, 3, 9):
        page = Page()
        page.add(catalogue.PERSONS, "shop", "3", value=number)
        page.add(catalogue.PARTITIONS, value=number)
        highest.keep(page)
        shown.append((page.samples["funnel_persons"]["shop", "3"], page.samples["funnel_partitions"][()]))
    assert shown == [(5, 5), (5, 3), (9, 9)]


@rows(
    ("accept", "is_protobuf"),
    [
        ("", False),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
         "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1", True),
        ("application/openmetrics-text;version=1.0.0;q=0.6,"
         "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5", False),
        ("application/vnd.google.protobuf;encoding=text", False),
        ("application/vnd.google.protobuf;encoding=delimited;q=high,text/plain;q=0.1", False),
    ],
)  # fmt: skip
def test_protobuf_is_for_those_who_prefer_it(accept: str, is_protobuf: bool) -> None:
    assert is_asked_for(accept) is is_protobuf


async def test_the_two_formats_say_the_same_and_labels_survive_them() -> None:
    page, strange = Page(), 'a "quoted" \\ back\nslash, {braces} і ціна'
    page.add(catalogue.DIMENSION["entries"], "shop", "3", "channel", strange, "lead", value=1.5)
    page.add(catalogue.ACCEPTED, "shop", "3", value=12_345_678_901)
    page.add_histogram(catalogue.DURATION, "shop", "3", "lead", strange, counts={"10": 2, "inf": 1}, seconds=9000)
    encoder = Encoder()
    classic = text_string_to_metric_families(encoder.encode(page, is_openmetrics=False))
    modern = parse_openmetrics(encoder.encode(page, is_openmetrics=True) + "# EOF\n")  # type: ignore[no-untyped-call]
    read = [
        {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}
        for families in (classic, modern)
    ]
    assert read[0] == read[1]
    labels = tuple(sorted({"funnel": "shop", "version": "3", "stage": "lead", "to": strange}.items()))
    assert read[0]["funnel_stage_duration_seconds_gcount", labels] == 3
    assert read[0]["funnel_stage_duration_seconds_bucket", tuple(sorted([*labels, ("le", "60.0")]))] == 2
    assert read[0]["funnel_events_accepted_total", labels[:1] + labels[-1:]] == 12_345_678_901


async def test_the_two_formats_and_compression() -> None:
    app = exporter(await filled())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://exporter") as client:
        plain = await client.get("/metrics", headers={"accept": "text/plain", "accept-encoding": "identity"})
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "content-encoding" not in plain.headers
        wanted = {"accept": "application/openmetrics-text; version=1.0.0", "accept-encoding": "gzip"}
        open_ = await client.get("/metrics", headers=wanted)
        assert open_.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert open_.headers["content-encoding"] == "gzip"
        assert open_.text.endswith("# EOF\n")
        parsed = parse_openmetrics(open_.text)  # type: ignore[no-untyped-call]
        assert {metric.name for metric in parsed} >= {one.name for one in catalogue.METRICS}
        assert len(gzip.compress(open_.content)) < len(open_.content)
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).json() == {"ready": True, "reason": ""}


class _Flaky:
    """A store that answers, fails or hangs, as told."""

    def __init__(self, take: Callable[[], Awaitable[Snapshot]]) -> None:
        self.mode: Exception | asyncio.Event | None = None
        self.calls = 0
        self._take = take

    async def take(self) -> Snapshot:
        self.calls += 1
        if isinstance(self.mode, Exception):
            raise self.mode
        if self.mode is not None:
            await self.mode.wait()
        return await self._take()


async def flaky(**options: Any) -> tuple[_Flaky, ExporterApp]:
    store = _Flaky(SnapshotSource(await filled(), [SHOP], clock_ms=lambda: NOW).take)
    return store, exporter(None, take=store.take, max_age_seconds=0.0, **options)


@rows("error", [StoreUnavailableError("away"), RuntimeError("a bug")])
async def test_when_redis_is_away_a_scrape_shows_the_last_counts_and_says_so(error: Exception) -> None:
    store, app = await flaky()
    await scrape(app)
    store.mode = error
    samples = await scrape(app)
    assert bare(samples, "funnel_redis_up") == 0
    assert bare(samples, "funnel_exporter_read_errors_total") == 1
    assert value(samples, "funnel_stage_entries", stage="click") == 120
    store.mode = None
    assert bare(await scrape(app), "funnel_redis_up") == 1


async def test_when_redis_was_never_there_a_scrape_still_answers() -> None:
    store, app = await flaky()
    store.mode = StoreUnavailableError("away")
    samples = await scrape(app)
    assert bare(samples, "funnel_redis_up") == 0
    assert not [name for name, _ in samples if name.startswith("funnel_stage")]


async def test_a_store_that_contradicts_itself_is_named() -> None:
    store, app = await flaky()
    store.mode = StoreRefusedError("foreign keys")
    assert bare(await scrape(app), "funnel_state_refused") == 1


async def test_a_hanging_store_costs_a_scrape_no_more_than_its_time_box() -> None:
    store, app = await flaky(time_box_seconds=0.05)
    await scrape(app)
    released = store.mode = asyncio.Event()
    async with asyncio.timeout(LIMIT):
        first, second = await asyncio.gather(scrape(app), scrape(app))
    assert bare(first, "funnel_redis_up") == bare(second, "funnel_redis_up") == 0
    assert store.calls == 2  # the one that hangs is not asked again
    assert value(first, "funnel_stage_entries", stage="click") == 120
    released.set()
    store.mode = None
    assert bare(await scrape(app), "funnel_redis_up") == 1


async def test_scrapers_share_one_read() -> None:
    store = _Flaky(SnapshotSource(await filled(), [SHOP], clock_ms=lambda: NOW).take)
    app = exporter(None, take=store.take, max_age_seconds=60.0)
    await asyncio.gather(*(scrape(app) for _ in range(5)))
    assert store.calls == 1


async def test_readiness_follows_the_store() -> None:
    store, app = await flaky()
    store.mode = StoreUnavailableError("away")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://exporter") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert "Redis" in answer.json()["reason"]
        assert (await client.get("/healthz")).status_code == 200


class _CountingReader(MemoryCounterReader):
    views = 0

    async def view(self, partition: int, funnel_id: str, **options: Any) -> PartitionView | None:
        self.views += 1
        return await super().view(partition, funnel_id, **options)


async def test_partitions_that_stand_still_are_not_read_again() -> None:
    await filled()
    reader = _CountingReader(_SPACE)
    source = SnapshotSource(reader, [SHOP], clock_ms=lambda: NOW)
    first = await source.take()
    read = reader.views
    again = await source.take()
    assert reader.views == read
    assert again.funnels[0].totals == first.funnels[0].totals
    assert isinstance(first.statuses[0].meta, PartitionMeta)


async def _grown(seconds: float) -> tuple[Snapshot, Snapshot]:
    """Snapshots of a growing shop: of a source for which every whole read is too slow, and of a new one."""
    space = MemorySpace(clock_ms=lambda: NOW)
    store, reader = MemoryPartitionStore(space), MemoryCounterReader(space)
    await store.check_funnels({SHOP.funnel_id: SHOP.fingerprint})
    processor = PartitionProcessor(store, 0, [SHOP], clock_ms=lambda: NOW)
    await processor.claim()
    source = SnapshotSource(reader, [SHOP], clock_ms=lambda: NOW, inline_seconds=seconds)
    records = [record for _, record in log_records(shop_events(NOW), 1)]
    for start in range(0, len(records), 60):
        await processor.process(records[start : start + 60], min(start + 60, len(records)))
        laid_over = await source.take()
    await source.close()
    return laid_over, await SnapshotSource(reader, [SHOP], clock_ms=lambda: NOW).take()


async def test_where_a_whole_read_is_slow_the_newest_is_laid_over_the_last_one() -> None:
    laid_over, reread = await _grown(seconds=-1.0)
    assert laid_over.funnels[0].totals[""] == reread.funnels[0].totals[""]
    assert laid_over.funnels[0].windows["5m"] == reread.funnels[0].windows["5m"]
    assert laid_over.statuses == reread.statuses


async def test_where_it_is_fast_everything_is_of_now() -> None:
    laid_over, reread = await _grown(seconds=60.0)
    assert laid_over.funnels == reread.funnels
