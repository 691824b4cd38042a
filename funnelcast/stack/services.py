"""Collector, worker, ticker, exporter and page beside an embedded stack: all that one machine needs to try. Starts
processes; counts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from funnelcast.processes.child import Reporter
from funnelcast.processes.deployment import Deployment
from funnelcast.processes.ports import port_like
from funnelcast.processes.supervise import Supervisor
from funnelcast.settings import SettingsError
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

COLLECTOR_PORT, WEB_PORT, EXPORTER_PORT, CANARY_PORT = 8080, 8090, 9102, 9104
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
    canary: str | None
    """Its metrics; None where there is none."""
    supervisor: Supervisor


@asynccontextmanager
async def services(
    stack: EmbeddedStack, settings: ServiceSettings, *, report: Reporter, has_canary: bool = False
) -> AsyncIterator[Services]:
    """All of them, ready, for the time of a `with`. Raises NeedsHumanError, SettingsError."""
    if has_canary and settings.keys is not None:
        raise SettingsError(
            "--canary walks through a collector that needs no key; beside one with keys run `funnelcast canary` with a "
            "key of its own (docs/alerts.md)"
        )
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
    url, canary_port = f"http://127.0.0.1:{port}", port_like(CANARY_PORT) if has_canary else None
    async with Supervisor(home, report=report) as supervisor:
        for spec in (
            deployment.collector(port),
            deployment.worker(1),
            deployment.ticker(),
            deployment.exporter(metrics_port),
            deployment.web(web_port),
            *([] if canary_port is None else [deployment.canary(url, canary_port)]),
        ):
            await supervisor.start(spec)
        await supervisor.ready(READY_SECONDS)
        yield Services(
            url=url,
            metrics=f"http://127.0.0.1:{metrics_port}/metrics",
            page=f"http://127.0.0.1:{web_port}",
            canary=None if canary_port is None else f"http://127.0.0.1:{canary_port}/metrics",
            supervisor=supervisor,
        )
