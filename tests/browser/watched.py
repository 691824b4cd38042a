"""The live page for a test: `funnelcast web` as a process, on a Valkey of its own into which the test counts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from funnelcast.processes.ports import free_port
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.record import encode_tick
from streams.store.connection import close, connect
from streams.store.redis import RedisPartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.browser.engines import Tab
from tests.support.command import run_command, start_command
from tests.support.http import plain_get
from tests.support.processing import log_records
from tests.support.shop import SHOP_FILE
from tests.support.valkey import ValkeyServer
from tests.support.waiting import LIMIT, wait_until


def event(name: str, person: str, at_ms: int, **properties: Any) -> dict[str, Any]:
    """As the collector writes it."""
    return {
        "id": f"{name}-{person}-{at_ms}",
        "name": name,
        "occurred_at_ms": at_ms,
        "received_at_ms": at_ms,
        "user_id": person,
        "source": "web",
        "properties": properties,
    }


@dataclass
class WatchedShop:
    """One space with a page on it."""

    directory: Path
    definition: str = SHOP_FILE
    arguments: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    space: str = "page"
    events: list[dict[str, Any]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    cursor: int = 0

    def __post_init__(self) -> None:
        self.funnel_file = self.directory / "shop.yaml"
        self.funnel_file.write_text(self.definition)
        self.funnel: Funnel = load_funnel(str(self.funnel_file))
        self.valkey = ValkeyServer(self.directory)

    @property
    def url(self) -> str:
        """Of the page."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def now_ms(self) -> int:
        """Events of now, so that the page is live."""
        return time.time_ns() // 1_000_000

    def start(self, events: Sequence[dict[str, Any]] = ()) -> None:
        """Store and page, ready; `events` may be old, as nothing newer has been counted."""
        self.valkey.start()
        self._run(self._count(events))
        self.process = start_command(
            "web", "--port", str(self.port), *self.arguments, state_dir=self.directory, env=self._environment()
        )
        wait_until(self._is_up, what="the page is up")

    def count(self, events: Sequence[dict[str, Any]]) -> None:
        """Count these events, and a tick of now."""
        self._run(self._count(events))

    def report(self, *arguments: str) -> dict[str, Any]:
        """What `funnelcast report --json` prints."""
        given = ("report", "--funnel", str(self.funnel_file), "--json", *arguments)
        code, out, err = run_command(*given, state_dir=self.directory, env=self._environment())
        assert code == 0, err
        document: dict[str, Any] = json.loads(out)
        return document

    def command(self, *arguments: str) -> bytes:
        """Any other command's output."""
        code, out, err = run_command(*arguments, state_dir=self.directory, env=self._environment())
        assert code == 0, err
        return out

    def end(self) -> None:
        """Nothing is left."""
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=LIMIT)
        self.valkey.kill()

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.process.communicate()[1].decode()
        try:
            return plain_get(f"{self.url}readyz").status_code == 200
        except httpx.TransportError:
            return False

    async def _count(self, events: Sequence[dict[str, Any]]) -> None:
        client = connect(self.valkey.url)
        try:
            store = RedisPartitionStore(client, self.space)
            await store.check_funnels({self.funnel.funnel_id: self.funnel.fingerprint})
            ordered = sorted(events, key=lambda one: one["received_at_ms"])
            records = [record for _, record in log_records(ordered, 1)]
            records = [LogRecord(one.key, one.value, one.timestamp, self.cursor + at) for at, one in enumerate(records)]
            now_ms = self.now_ms
            records.append(LogRecord(None, encode_tick(now_ms), now_ms, self.cursor + len(records)))
            self.cursor += len(records)
            processor = PartitionProcessor(store, 0, [self.funnel], clock_ms=lambda: now_ms)
            await processor.claim()
            await processor.process(records, self.cursor)
            await processor.book_due()
        finally:
            await close(client)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """In another thread: Playwright's loop runs in this one."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, work).result(LIMIT)

    def _environment(self) -> dict[str, str]:
        return {
            "FUNNELCAST_REDIS": self.valkey.url,
            "FUNNELCAST_SPACE": self.space,
            "FUNNELCAST_FUNNELS": str(self.funnel_file),
            "FUNNELCAST_KEYS": str(self.directory / "keys.json"),
        }


_NUMBERS = """Object.fromEntries([...document.querySelectorAll('.funnel tbody tr')].map((row) =>
  [row.querySelector('th').title, [...row.querySelectorAll('td .number')].map((each) => each.innerText)]))"""


def numbers(tab: Tab) -> dict[str, list[str]]:
    """Cells of the funnel's table by stage: entered, went on, left, open."""
    cells: dict[str, list[str]] = tab.evaluate(_NUMBERS)
    return cells


def expected(document: dict[str, Any]) -> dict[str, list[str]]:
    """The same, of the report."""

    def share(rate: dict[str, Any] | None) -> str:
        return "–" if rate is None else f"{100 * rate['rate']:.1f}".removesuffix(".0") + "%"

    (rates,) = [each for each in document["rates"] if each["dim"] == ""]
    cells = document["counters"]["total"]["all"][""]
    wanted = {}
    for stage in ("impression", "click", "lead", "payment"):
        cell, is_last = cells.get(stage, {}), stage not in rates["cohort_conversion"]
        conversion, leaving = (rates[name].get(stage) for name in ("cohort_conversion", "leaving"))
        wanted[stage] = [f"{cell.get('entries', 0):,}"]
        wanted[stage] += ["", "", ""] if is_last else [share(conversion), share(leaving), f"{cell.get('open', 0):,}"]
    return wanted
