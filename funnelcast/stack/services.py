"""Collector, worker, ticker, exporter and page beside an embedded stack: all that one machine needs to try. Starts
processes; counts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from funnelcast.processes.deployment import Deployment
from funnelcast.processes.ports import free_port, port_like
from funnelcast.processes.supervise import Reporter, Supervisor
from funnelcast.settings.sections import (
    ContactKeySettings,
    FunnelSettings,
    KeySettings,
    SpaceSettings,
    StateSettings,
    WatermarkSettings,
)
from funnelcast.stack.embedded import EmbeddedStack
from schemas.topics import Topics
from streams.admin import ensure_topics

COLLECTOR_PORT, WEB_PORT, EXPORTER_PORT = 8080, 8090, 9102
"""Where they are free."""
ONE_MACHINE: Final = 4
"""Partitions: enough to try what several workers share."""
READY_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(FunnelSettings, SpaceSettings, KeySettings, WatermarkSettings, ContactKeySettings, StateSettings):
    """What the processes share. What else they read they find in the environment and in funnelcast.toml."""

    joins_running = False


@dataclass(frozen=True, slots=True)
class Services:
    """Where they listen."""

    url: str
    metrics: str
    page: str
    supervisor: Supervisor


@asynccontextmanager
async def services(stack: EmbeddedStack, settings: ServiceSettings, report: Reporter) -> AsyncIterator[Services]:
    """All of them, ready, for the time of a `with`. Raises NeedsHumanError, SettingsError."""
    await ensure_topics(stack.servers, Topics(settings.space), partitions=ONE_MACHINE)
    home = stack.directory  # its contact key is the one of every command that is started here
    deployment = Deployment(
        kafka=stack.servers,
        redis=stack.redis,
        space=settings.space,
        funnels=settings.funnels,
        directory=home,
        watermark_delay_ms=settings.watermark_delay_ms,
        keys=settings.keys,
        contact_key=settings.contact_key,
    )
    port, metrics_port, web_port = map(port_like, (COLLECTOR_PORT, EXPORTER_PORT, WEB_PORT))
    async with Supervisor(home, report=report) as supervisor:
        for spec in (
            deployment.collector(port),
            deployment.worker(1, free_port()),
            deployment.ticker(),
            deployment.exporter(metrics_port),
            deployment.web(web_port),
        ):
            await supervisor.start(spec)
        await supervisor.ready(READY_SECONDS)
        yield Services(
            url=f"http://127.0.0.1:{port}",
            metrics=f"http://127.0.0.1:{metrics_port}/metrics",
            page=f"http://127.0.0.1:{web_port}",
            supervisor=supervisor,
        )
