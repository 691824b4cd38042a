"""Mutated requests of every format, and noise, against a live collector: what it must never do is checked.

Composes; what is sent is made in `fuzz_mutate` and judged in `fuzz_checks`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from funnelcast.clock import wall_clock_ms
from funnelcast.fuzz.checks import (
    RSS_LIMIT_BYTES,
    Balance,
    balance_of,
    fault_of,
    faults_of_balance,
    resident_bytes,
    total_of,
    troubles_in,
)
from funnelcast.fuzz.mutate import request_of
from funnelcast.fuzz.requests import KEY, PAGE_KEY, FuzzRequest, Sample, recorded, with_key
from funnelcast.fuzz.sign import signed
from funnelcast.fuzz.target import PARTITIONS, Target, own_collector, page_of, target_of
from funnelcast.fuzz.wire import CLOSED, GARBLED, HUNG, Answer, Connection
from funnelcast.stack.run_directory import RunDirectory
from schemas.errors import TryAgainError
from schemas.topics import Topics
from streams.admin import log_range_of

LANES = 32
REPORT_SECONDS = 5.0
SAVED = 20
"""Failing requests that are kept."""


@dataclass(frozen=True, slots=True)
class FuzzPlan:
    """What a run does. Equal plans send equal requests, but for the time in signatures."""

    requests: int
    seed: int
    only: int | None = None
    """Send this one alone."""

    @property
    def numbers(self) -> range:
        """Of the requests."""
        return range(self.requests) if self.only is None else range(self.only, self.only + 1)

    @property
    def warm_up(self) -> int:
        """Requests after which memory is measured for the first time. Large bodies that come at once make a process
        larger, and it stays so; what leaks goes on."""
        return self.requests // 2


@dataclass(slots=True)
class Verdict:
    """What came out."""

    requests: int
    seed: int
    statuses: dict[str, int] = field(default_factory=dict)
    by_format: dict[str, dict[str, int]] = field(default_factory=dict)
    rss_growth_bytes: int | None = None
    balance: Balance = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)
    seconds: float = 0.0
    ok: bool = False

    def as_document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


class FuzzRun:
    """One run against one target."""

    def __init__(self, plan: FuzzPlan, target: Target, *, saving: Path, say: Callable[[str], None]) -> None:
        self._plan, self._target, self._saving, self._say = plan, target, saving, say
        samples = recorded(page_key=KEY if target.key else PAGE_KEY)
        self._samples: Sequence[Sample] = [with_key(one, target.key) for one in samples] if target.key else samples
        self._numbers = iter(plan.numbers)
        self._done = 0
        self._statuses: Counter[str] = Counter()
        self._by_format: dict[str, Counter[str]] = {}
        self._warm_bytes: int | None = None
        self._verdict = Verdict(len(plan.numbers), plan.seed)

    async def run(self) -> Verdict:
        """Send everything, then look at what is left."""
        began, pid = time.monotonic(), self._pid()
        reporting = asyncio.create_task(self._report(began))
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(LANES, len(self._plan.numbers))):
                    tasks.create_task(self._send_in_turn())
        finally:
            reporting.cancel()
        verdict = self._verdict
        verdict.seconds = round(time.monotonic() - began, 1)
        verdict.statuses = dict(sorted(self._statuses.items()))
        verdict.by_format = {name: dict(sorted(found.items())) for name, found in sorted(self._by_format.items())}
        await self._check_process(pid)
        await self._check_counts()
        verdict.ok = not verdict.faults
        return verdict

    async def _send_in_turn(self) -> None:
        connection = Connection(self._target.host, self._target.port)
        for number in self._numbers:
            request = request_of(self._plan.seed, number, samples=self._samples)
            if request.is_signed:
                request = signed(request, wall_clock_ms())
            self._judge(request, await connection.send(request))
        await connection.close()

    def _judge(self, request: FuzzRequest, answer: Answer) -> None:
        shown = {CLOSED.status: "closed", HUNG.status: "hung", GARBLED.status: "garbled"}.get(answer.status)
        shown = shown or str(answer.status)
        self._statuses[shown] += 1
        self._by_format.setdefault(request.format, Counter())[shown] += 1
        self._done += 1
        if self._done == self._plan.warm_up and (pid := self._pid()):
            self._warm_bytes = resident_bytes(pid)
        fault = fault_of(request, answer)
        if fault is not None:
            self._fail(request, fault)

    def _fail(self, request: FuzzRequest, fault: str) -> None:
        text = f"request {request.number} ({request.format}: {', '.join(request.mutations) or 'as recorded'}): {fault}"
        self._verdict.faults.append(text)
        self._say(text)
        if len(self._verdict.saved) >= SAVED:
            return
        self._saving.mkdir(parents=True, exist_ok=True)
        file = self._saving / f"fuzz-{self._plan.seed}-{request.number}.http"
        file.write_bytes(request.wire())
        self._verdict.saved.append(str(file))

    def _pid(self) -> int | None:
        return self._target.child.pid if self._target.child is not None else None

    async def _report(self, began: float) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            rate = self._done / (time.monotonic() - began)
            faults = len(self._verdict.faults)
            self._say(f"{self._done} of {len(self._plan.numbers)} sent, {rate:.0f} a second, {faults} faults")

    async def _check_process(self, pid: int | None) -> None:
        child, verdict = self._target.child, self._verdict
        if child is None:
            return
        if child.pid != pid or child.restarts or pid is None:
            verdict.faults.append(f"the collector ended and was started again ({child.restarts} times): {child.tail()}")
            return
        verdict.faults += [f"the collector's log: {line}" for line in troubles_in(child.log)[:SAVED]]
        if self._warm_bytes is not None:
            verdict.rss_growth_bytes = max(0, resident_bytes(pid) - self._warm_bytes)
            if verdict.rss_growth_bytes > RSS_LIMIT_BYTES:
                verdict.faults.append(f"memory grew by {verdict.rss_growth_bytes} bytes")

    async def _check_counts(self) -> None:
        verdict, target = self._verdict, self._target
        if target.metrics is None:
            self._say("the counts are not checked: --metrics-url says where the collector's /metrics is")
            return
        answer = await page_of(target.metrics)
        if answer is None or answer.status_code != 200:
            said = "did not answer" if answer is None else f"answered {answer.status_code}"
            verdict.faults.append(f"/metrics {said}: the counts could not be checked")
            return
        metrics = answer.text
        verdict.balance = balance_of(metrics)
        verdict.faults += faults_of_balance(verdict.balance)
        if target.kafka is None:
            return
        topics, partitions = Topics(target.space), range(PARTITIONS)
        for name, topic in (("events", topics.events), ("hooks", topics.hooks), ("rejected", topics.rejected)):
            ends = [await log_range_of(target.kafka, topic, partition=partition) for partition in partitions]
            verdict.records[name] = sum(one.end or 0 for one in ends)
        accepted = sum(one["accepted"] for one in verdict.balance.values())
        expected = accepted + total_of(metrics, "claims") + PARTITIONS * total_of(metrics, "ticks")
        records = verdict.records["events"] + verdict.records["hooks"]
        if records < expected or (records > expected and not self._statuses["503"]):
            verdict.faults.append(f"{expected} records were acknowledged as events or hooks, Kafka has {records}")


async def run_fuzz(
    plan: FuzzPlan,
    *,
    state_dir: Path,
    url: str | None,
    key: str | None,
    metrics: str | None = None,
    say: Callable[[str], None],
) -> Verdict:
    """Against the collector at `url`, or else against one of our own on the embedded stack. Raises NeedsHumanError,
    TryAgainError where that does not start."""
    saving = state_dir / "fuzz"
    if url is not None:
        target = target_of(url, key=key, metrics=metrics)
        if await page_of(f"http://{target.host}:{target.port}/healthz") is None:
            raise TryAgainError(f"nothing answers at {url}")
        return await FuzzRun(plan, target, saving=saving, say=say).run()
    with RunDirectory.new(state_dir, "fuzz") as directory:
        async with own_collector(directory.path, say) as target:
            verdict = await FuzzRun(plan, target, saving=saving, say=say).run()
        directory.is_kept = not verdict.ok
        return verdict
