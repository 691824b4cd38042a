"""A shop that is alive: the processes of one space, its visitors, and what the view shows of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from pathlib import Path

import httpx
import orjson

from funnelcast.clock import wall_clock_ms
from funnelcast.demo.shop import Shop
from funnelcast.demo.view import Pulse, View
from funnelcast.processes.child import Child
from funnelcast.processes.deployment import Deployment
from funnelcast.processes.ports import port_like
from funnelcast.processes.supervise import Supervisor
from funnelcast.replay.sender import OrderedSender
from funnelcast.stack.embedded import EmbeddedStack
from funnelcast.stack.services import COLLECTOR_PORT, EXPORTER_PORT, WEB_PORT
from producers.access.keys import create_key
from producers.ingest.verdicts import Scope
from schemas.counters import Grain
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.report.document.counters import document_of
from streams.report.document.shapes import CountersDocument
from streams.store.connection import close, connect
from streams.store.port import CounterReader, StoreUnavailableError
from streams.store.reader import RedisCounterReader
from streams.store.statuses import metas_of

PARTITIONS, WORKERS = 4, 2
READY_SECONDS = 60.0
LIVE_DELAY_MS = 2_000
"""Watermark delay of the live shop: its visitors decide within seconds."""
FEED_SECONDS, LOOK_SECONDS = 0.1, 1.0
DRAIN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What the demo does. `seconds` of live shop; None: until it is stopped."""

    state_dir: Path
    seconds: float | None = None
    events_per_second: float = 300.0
    kafka: str | None = None
    redis: str | None = None


def definition_of(name: str) -> str:
    """Path of a funnel of the demo."""
    return str(resources.files("funnelcast") / "data" / f"{name}.yaml")


@asynccontextmanager
async def live_shop(stack: EmbeddedStack, directory: Path, *, plan: DemoPlan, view: View) -> AsyncIterator[LiveShop]:
    """Started, and stopped at the end of the `with`."""
    is_ours = stack.is_kafka_embedded and stack.is_redis_embedded
    space = "shop" if is_ours else f"shop-{uuid.uuid4().hex[:8]}"
    await ensure_topics(stack.kafka, Topics(space), partitions=PARTITIONS)
    home = directory / "shop"
    async with Supervisor(home, report=view.note) as services:
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        key, _ = create_key(home / "keys.json", source="web", scope=Scope.SERVER, created_at=created_at)
        deployment = Deployment(
            kafka=stack.kafka,
            redis=stack.redis,
            space=space,
            funnels=(definition_of("shop"),),
            directory=home,
            watermark_delay_ms=LIVE_DELAY_MS,
            keys=home / "keys.json",
        )
        client, redis = httpx.AsyncClient(), connect(stack.redis)
        try:
            shop = LiveShop(
                services=services,
                deployment=deployment,
                key=key,
                client=client,
                reader=RedisCounterReader(redis, space),
                view=view,
                check_stack=stack.check,
            )
            await shop.start(plan.events_per_second)
            yield shop
        finally:
            await client.aclose()
            await close(redis)


@dataclass(kw_only=True)
class LiveShop:
    """Collector, two workers, exporter and ticker of the live space; its visitors; what the view shows of them."""

    services: Supervisor
    deployment: Deployment
    key: str
    client: httpx.AsyncClient
    reader: CounterReader
    view: View
    check_stack: Callable[[], None]
    _shop: Shop = field(default_factory=Shop, init=False)
    _collector_port: int = field(default_factory=lambda: port_like(COLLECTOR_PORT), init=False)
    _exporter_port: int = field(default_factory=lambda: port_like(EXPORTER_PORT), init=False)
    _web_port: int = field(default_factory=lambda: port_like(WEB_PORT), init=False)
    _workers: Sequence[Child] = field(default=(), init=False)
    _counted: tuple[float, int] | None = field(default=None, init=False)

    @cached_property
    def funnel(self) -> Funnel:
        """The live shop's."""
        return load_funnel(self.deployment.funnels[0])

    def settings(self) -> dict[str, object]:
        """With which commands find it."""
        shop = self.deployment
        return {
            "kafka": str(shop.kafka),
            "redis": shop.redis,
            "space": shop.space,
            "funnels": list(shop.funnels),
            "url": f"http://127.0.0.1:{self._collector_port}",
        }

    async def start(self, events_per_second: float) -> None:
        """Start every process and say where they listen."""
        self._shop.events_per_second = events_per_second
        self._workers = [await self.services.start(self.deployment.worker(number + 1)) for number in range(WORKERS)]
        for spec in (
            self.deployment.collector(self._collector_port),
            self.deployment.exporter(self._exporter_port),
            self.deployment.ticker(),
            self.deployment.web(self._web_port),
        ):
            await self.services.start(spec)
        await self.services.ready(READY_SECONDS)
        self.view.live(
            page=f"http://127.0.0.1:{self._web_port}/",
            collector=f"http://127.0.0.1:{self._collector_port}",
            metrics=f"http://127.0.0.1:{self._exporter_port}/metrics",
            key=self.key,
        )

    async def run(self, stop: asyncio.Event, seconds: float | None) -> None:
        """Feed and show until `stop`, or for `seconds`."""
        feeding = asyncio.create_task(self._feed())
        began = time.monotonic()
        try:
            with self.view.showing():
                while not stop.is_set() and (seconds is None or time.monotonic() - began < seconds):
                    self._check()
                    if feeding.done():
                        feeding.result()
                    await self._look(time.monotonic() - began)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
        finally:
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeding

    async def document_when_applied(self) -> CountersDocument:
        """The document once the workers have applied everything, or as it is when that takes too long."""
        deadline, seen = time.monotonic() + DRAIN_SECONDS, -1
        while time.monotonic() < deadline:
            document = await self._document()
            accepted = document["input"]["accepted"]
            if accepted == seen and not await self._lag():
                return document
            seen = accepted
            await asyncio.sleep(LOOK_SECONDS / 2)
        return await self._document()

    def _check(self) -> None:
        self.check_stack()
        self.services.check()

    async def _feed(self) -> None:
        sender = OrderedSender(
            url=f"http://127.0.0.1:{self._collector_port}/v1/events",
            key=self.key,
            client=self.client,
            check=self._check,
            session=None,
        )
        while True:
            for event in self._shop.due(wall_clock_ms()):
                await sender.add(orjson.dumps(event))
            await sender.flush()
            await asyncio.sleep(FEED_SECONDS)

    async def _look(self, elapsed_seconds: float) -> None:
        try:
            document = await self._document()
            metas = (await metas_of(self.reader)).values()
            received = [meta.max_received_ms for meta in metas if meta.max_received_ms is not None]
        except StoreUnavailableError as error:
            self.view.note(str(error))
            return
        now = time.time()
        self.view.show(
            self.funnel,
            document,
            pulse=Pulse(
                elapsed_seconds=elapsed_seconds,
                events_per_second=self._speed(document["input"]["accepted"]),
                lag=await self._lag(),
                freshness_seconds=max(0.0, now - max(received) / 1000) if received else None,
                restarts=sum(self.services.restarts().values()),
            ),
        )

    async def _document(self) -> CountersDocument:
        """Totals alone: what the view shows, at the price of a few cells."""
        views = [
            view
            for partition in await self.reader.partitions()
            if (view := await self.reader.view(partition, self.funnel.funnel_id, grains=(Grain.TOTAL,))) is not None
        ]
        registers = await self.reader.registers(self.funnel.funnel_id)
        return document_of(self.funnel, views, registers=registers, rated=(Grain.TOTAL,))

    def _speed(self, accepted: int) -> float | None:
        now, before = time.monotonic(), self._counted
        self._counted = (now, accepted)
        return None if before is None or now <= before[0] else (accepted - before[1]) / (now - before[0])

    async def _lag(self) -> int | None:
        """Records that the workers have not applied, as they say; None while one does not answer."""
        ports = [worker.listening.port() for worker in self._workers]
        try:
            answers = [await self.client.get(f"http://127.0.0.1:{port or 0}/metrics") for port in ports]
        except httpx.TransportError:
            return None
        lines = [line for answer in answers for line in answer.text.splitlines()]
        return sum(
            int(float(line.rpartition(" ")[2])) for line in lines if line.startswith("funnel_worker_lag_records{")
        )
