"""Sends walks and looks for them in the store until stopped. Counts nothing: it reads how far the counting is."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from funnelcast.canary.account import Account
from funnelcast.canary.metrics import CanaryMetrics
from funnelcast.canary.walks import Route
from funnelcast.clock import wall_clock_ms
from funnelcast.structlog_alone import structlog
from producers.client.collector import CollectorClient
from schemas.errors import TryAgainError, UsageError
from schemas.funnel.model import Funnel
from schemas.traffic import CANARY
from streams.ending import end
from streams.store.port import CounterReader, StoreError
from streams.store.statuses import metas_of

log = structlog.get_logger("funnelcast.canary")
_LOOK_SECONDS: Final = 0.2
_HEADERS: Final = {"Content-Type": "application/json"}


class Canary:
    """One canary: `run` is called once."""

    def __init__(
        self,
        route: Route,
        funnels: Sequence[Funnel],
        *,
        url: str,
        door: CollectorClient,
        reader: CounterReader,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        walked = {funnel_id for step in route.steps for funnel_id in step.funnels}
        self._labels = {each.funnel_id: (each.name, str(each.version)) for each in funnels if each.funnel_id in walked}
        self._route, self._url, self._door, self._reader, self._clock_ms = route, url, door, reader, clock_ms
        self._accounts = {funnel_id: Account() for funnel_id in self._labels}
        self._fresh_ms = dict.fromkeys(self._labels, clock_ms())
        self._name = f"{CANARY}-{uuid.uuid4().hex[:12]}"
        self._walks = 0
        self._is_store_up: bool | None = None
        self.metrics = CanaryMetrics(self._labels.values())

    @property
    def trouble(self) -> str:
        """Why it is not ready; empty where it is."""
        return "" if self._is_store_up else "the store has not been read yet"

    def render(self) -> bytes:
        """The metrics of this moment."""
        return self.metrics.render(self._ages)

    async def run(self, stop: asyncio.Event, *, every_seconds: float) -> None:
        """Walk until `stop`."""
        looking = asyncio.create_task(self._look_for_ever())
        try:
            while not stop.is_set():
                if self._is_store_up is not None:  # before the first look nobody can tell what is new
                    await self._walk()
                with contextlib.suppress(TimeoutError):
                    pause = every_seconds if self._is_store_up is not None else _LOOK_SECONDS
                    await asyncio.wait_for(stop.wait(), pause)
        finally:
            await end(looking)

    async def _walk(self) -> None:
        self._walks += 1
        at_ms = self._clock_ms()
        events = self._route.events(f"{self._name}-{self._walks}", at_ms)
        try:
            answer = await self._door.post_until_answered(self._url, orjson.dumps(events), headers=_HEADERS)
            results = answer.results(self._url)
        except (TryAgainError, UsageError) as error:
            self.metrics.walks.labels("refused" if isinstance(error, UsageError) else "unanswered").inc()
            log.warning("walk_failed", error=str(error))
            return
        refused = [event for event in results if event.get("status") != "accepted"]
        self.metrics.walks.labels("refused" if refused else "taken").inc()
        for event in refused[:1]:
            log.warning("walk_refused", reason=event.get("reason"), detail=event.get("detail"), events=len(refused))
        self._book(results, at_ms, is_whole=not refused)

    def _book(self, results: list[dict[str, Any]], at_ms: int, *, is_whole: bool) -> None:
        """What each funnel must see of a walk that the door has answered."""
        for funnel_id, account in self._accounts.items():
            seen = sum(
                funnel_id in step.funnels and result.get("status") == "accepted"
                for step, result in zip(self._route.steps, results, strict=False)
            )
            account.send(seen, at_ms, is_whole=is_whole)
            self.metrics.sent.labels(*self._labels[funnel_id]).set(account.sent)

    async def _look_for_ever(self) -> None:
        while True:
            try:
                metas = await metas_of(self._reader)
            except StoreError as error:
                if self._is_store_up is not False:
                    log.warning("store_down", error=str(error))
                self._is_store_up = False if self._is_store_up is not None else None
            else:
                self._is_store_up = True
                marks = [meta.watermark_ms or 0 for meta in metas.values()]
                self._look({number: meta.stats for number, meta in metas.items()}, min(marks, default=0))
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self, stats: Mapping[int, Mapping[str, Mapping[str, int]]], watermark_ms: int) -> None:
        now_ms = self._clock_ms()
        for funnel_id, account in self._accounts.items():
            total = sum(of.get(funnel_id, {}).get(f"left_out_{CANARY}", 0) for of in stats.values())
            labels = self._labels[funnel_id]
            for walk in account.look(total, watermark_ms):
                self.metrics.delay.labels(*labels).observe((now_ms - walk.sent_at_ms) / 1000)
                if walk.is_whole:
                    self._fresh_ms[funnel_id] = max(self._fresh_ms[funnel_id], walk.sent_at_ms)
            self.metrics.sent.labels(*labels).set(account.sent)
            self.metrics.counted.labels(*labels).set(account.counted)
            self.metrics.missing.labels(*labels).set(account.missing)

    def _ages(self) -> Iterator[tuple[tuple[str, str], float]]:
        now_ms = self._clock_ms()
        for funnel_id, labels in self._labels.items():
            yield labels, max(0, now_ms - self._fresh_ms[funnel_id]) / 1000
