"""`funnelcast alerts`: a file of events with a planted drop, from the command line."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from funnelcast.replay.histories import watched_of_file
from funnelcast.replay.memory import HISTORICAL, Refusals, ReplayJob, count_in_memory, no_progress
from producers.ingest.verdicts import Accepted
from producers.sink.port import partition_for
from schemas.counters import Grain
from schemas.funnel.load import load_funnels
from schemas.kafka import KafkaServers
from schemas.times import DAY_MS, HOUR_MS
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.evidence.backtest import Backtest
from streams.evidence.detector import Series
from streams.evidence.history import Place
from streams.exporter import judged
from streams.exporter.evidence_samples import fill_evidence
from streams.exporter.evidence_source import EvidenceSource
from streams.exporter.page import Page
from streams.store.memory import MemoryCounterReader, MemorySpace
from streams.store.port import PartitionView, StoreUnavailableError
from tests.support.command import run_command
from tests.support.stack import StackAddresses

START_MS = 1_735_689_600_000
WEEKS = 5
DROP = range(30 * 24, 32 * 24)
FUNNEL = """
name: shop
conversion_window: 1d
stages:
  - {name: visit, on: [visit]}
  - {name: lead, on: [lead]}
  - {name: payment, on: [payment], order: true}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Funnel and events: 12 visits an hour, half of them leads within minutes; for two days a tenth."""
    folder, rng = tmp_path_factory.mktemp("alerts"), random.Random(3)
    funnel, events = folder / "shop.yaml", folder / "events.jsonl"
    funnel.write_text(FUNNEL)
    lines: list[tuple[int, str]] = []
    for hour in range(WEEKS * 168):
        for number in range(12):
            visitor, at = f"v{hour}-{number}", START_MS + hour * HOUR_MS + rng.randrange(HOUR_MS)
            lines.append((at, _line("visit", visitor, at)))
            if rng.random() < (0.1 if hour in DROP else 0.5):
                at += rng.randrange(200_000)
                lines.append((at, _line("lead", visitor, at)))
    events.write_text("\n".join(line for _, line in sorted(lines)) + "\n")
    return funnel, events


def _line(name: str, visitor: str, at: int) -> str:
    return json.dumps({"id": f"{name}-{visitor}", "name": name, "occurred_at_ms": at, "anonymous_id": visitor})


def run(tmp_path: Path, *arguments: str) -> str:
    code, out, err = run_command("alerts", *arguments, state_dir=tmp_path)
    assert code == 0, err
    return out.decode()


@pytest.fixture(scope="module")
def back_test(files: tuple[Path, Path]) -> dict[str, Any]:
    """What the file of events says."""
    funnel, events = files
    answer = run(events.parent, "backtest", "--funnel", str(funnel), "--events", str(events), "--json")
    document: dict[str, Any] = json.loads(answer)
    return document


def test_a_back_test_finds_the_planted_drop_and_nothing_else(back_test: dict[str, Any]) -> None:
    answer = back_test
    (alert,) = [alert for alert in answer["alerts"] if alert["severity"] != "none"]
    assert (alert["name"], alert["stage"], alert["dim"]) == ("FunnelConversionDrop", "visit", "")
    assert "2025-01-31T00" <= alert["starts_at"] <= "2025-01-31T06"
    assert alert["numerator"] / alert["denominator"] < 0.3
    assert alert["baseline"] == pytest.approx(0.5, abs=0.05)
    assert 0 < answer["pages_per_week"] < 1


class BrokenOnce(MemoryCounterReader):
    """Goes away when the hours have been read and the minutes have not."""

    is_broken = True

    async def view(self, *place: Any, **asked: Any) -> PartitionView | None:
        if Grain.MINUTE in asked["grains"] and self.is_broken:
            self.is_broken = False
            raise StoreUnavailableError("away")
        return await super().view(*place, **asked)


async def test_the_exporter_says_what_the_back_test_says(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The same events up to the middle of the drop: gauges of a scrape, and moments of the whole history."""
    funnel_file, events = files
    (funnel,) = load_funnels([str(funnel_file)])
    job = ReplayJob(funnels=(funnel,), references=(str(funnel_file),), events=events)
    (whole,) = await watched_of_file(job, Refusals(events), progress=no_progress)
    series = Series("conversion", Place(0, 0, 0))
    middle = START_MS + (DROP.start + 12) * HOUR_MS
    half = tmp_path / "half.jsonl"
    half.write_text("".join(line for line in events.open() if json.loads(line)["occurred_at_ms"] < middle))
    space = MemorySpace(clock_ms=lambda: 0, expires=False)
    await count_in_memory(
        replace(job, events=half, watermark_ms=middle), Refusals(half), space=space, longest_chunk_ms=12 * HOUR_MS
    )
    reader = BrokenOnce(space)
    source = EvidenceSource(reader, [funnel], clock_ms=lambda: middle)
    with pytest.raises(StoreUnavailableError):
        await source.refresh()
    await source.refresh()
    page = Page()
    fill_evidence(page, source.newest, now_ms=middle)
    labels = ("shop", "1", "conversion", "visit", "", "", "down")
    moments = Backtest(whole).moments(series, middle // DAY_MS, floor=6.0)
    at_middle = [moment for moment in moments if moment.at_ms == middle + whole.delay_ms]
    expected = max(moment.evidence.nats for moment in at_middle)
    assert page.samples[judged.EVIDENCE.name][labels] == pytest.approx(expected)
    assert page.samples[judged.EVIDENCE_CAUSE.name] == {(*labels[:-1], "conversion"): 1}
    assert page.samples[judged.EVIDENCE.name][(*labels[:-1], "up")] == 0


def test_days_that_are_asked_for_and_a_table_for_people(files: tuple[Path, Path], tmp_path: Path) -> None:
    funnel, events = files
    asked = ("backtest", "--funnel", str(funnel), "--events", str(events))
    assert "0 alerts" in run(tmp_path, *asked, "--until", "2025-01-30")
    assert "FunnelConversionDrop" in run(tmp_path, *asked, "--since", "2025-01-30")
    code, _, err = run_command("alerts", *asked, "--since", "tomorrow", state_dir=tmp_path)
    assert code == 2
    assert "2025-01-31" in err


def test_a_threshold_that_suits_the_history(files: tuple[Path, Path], tmp_path: Path) -> None:
    funnel, events = files
    asked = ("tune", "--funnel", str(funnel), "--events", str(events), "--json", "--until", "2025-01-30")
    often, seldom = (json.loads(run(tmp_path, *asked, "--pages-per-month", n))["threshold"] for n in ("5", "0.1"))
    assert seldom > often


async def test_the_log_and_its_archive_give_the_alerts_of_the_file(
    files: tuple[Path, Path],
    back_test: dict[str, Any],
    tmp_path: Path,
    embedded_stack: StackAddresses,
    fresh_space: str,
) -> None:
    """The collector's records of the same events, over two partitions; then the archive without Kafka."""
    funnel, events = files
    topics = Topics(fresh_space)
    await ensure_topics(KafkaServers.of(embedded_stack.kafka), topics, partitions=2, historical=True)
    await _write(events.read_bytes().splitlines(), embedded_stack.kafka, topics.events)
    asked = ("backtest", "--funnel", str(funnel), "--json")
    place = ("--kafka", embedded_stack.kafka, "--space", fresh_space)
    assert json.loads(run(tmp_path, *asked, "--from-kafka", *place)) == back_test
    folder = str(tmp_path / "archive")
    code, _, err = run_command("archive", folder, *place, state_dir=tmp_path)
    assert code == 0, err
    assert json.loads(run(tmp_path, *asked, "--archive", folder)) == back_test
    code, _, err = run_command("alerts", *asked, state_dir=tmp_path)
    assert (code, "--from-kafka" in err) == (2, True)


async def _write(lines: list[bytes], kafka: str, topic: str) -> None:
    ingest = ReplayJob(funnels=(), references=(), events=Path()).ingest()
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        for line in lines:
            verdict = ingest.native(line, sender=HISTORICAL, received_at_ms=None)
            assert isinstance(verdict, Accepted)
            for key, value in verdict.records:
                await producer.send(
                    topic, value, key, partition=partition_for(key, 2), timestamp_ms=verdict.received_at_ms
                )
        await producer.flush()
    finally:
        await producer.stop()
