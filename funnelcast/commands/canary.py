"""`funnelcast canary`: journeys of nobody through the real doors. Composes settings, door, store and metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from funnelcast.commands.options import with_settings
from funnelcast.settings.processes import CanarySettings

if TYPE_CHECKING:
    from funnelcast.canary.run import Canary
    from funnelcast.canary.walks import Route
    from schemas.funnel.model import Funnel
    from streams.web.server import WebServer

app = typer.Typer(add_completion=False)
_PATIENCE_SECONDS = 10.0
"""Of one walk: the next one tries the door again."""


@app.command(
    epilog="Examples:  funnelcast keys create --source canary --scope server --traffic canary --key-file canary.key"
    "  ·  funnelcast canary --url http://collector:8080 --key-file canary.key --redis redis://127.0.0.1:6379 "
    "--funnels sales --health-port 9104"
)
@with_settings(CanarySettings)
def canary(settings: CanarySettings) -> None:
    """Walk every funnel through the collector, and look how soon and how completely the walks are counted.

    Its events have the traffic class canary: no funnel counts them, and every funnel counts how many it left out. Run
    one per space. Metrics: docs/metrics.md; the alerts on them: docs/runbook.md, FunnelCanaryLate.
    """
    from funnelcast.logs import configure_logs
    from funnelcast.settings.show import log_settings
    from schemas.funnel.load import load_funnels

    settings.need_redis()
    funnels = load_funnels(settings.funnels)
    route = _route(settings, funnels)
    configure_logs()
    log_settings(settings)
    asyncio.run(_run(settings, route, funnels=funnels))


def _route(settings: CanarySettings, funnels: list[Funnel]) -> Route:
    """Raises SettingsError where there is nothing to walk."""
    from funnelcast.canary.walks import route_of
    from funnelcast.settings import SettingsError

    route = route_of(funnels, source=settings.source)
    if not route.steps:
        names = ", ".join(sorted({source for funnel in funnels for source in funnel.sources or ()}))
        raise SettingsError(
            f"no stage of {', '.join(settings.funnels)} can be entered by a canary; where the funnels take certain "
            f"sources only ({names or 'none here'}), give --source that of the write key"
        )
    return route


async def _run(settings: CanarySettings, route: Route, *, funnels: list[Funnel]) -> None:
    import httpx

    from funnelcast.canary.run import Canary
    from funnelcast.signals import stop_event
    from funnelcast.structlog_alone import structlog
    from producers.client.collector import CollectorClient, RetryPolicy
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    log, stop = structlog.get_logger("funnelcast.canary"), stop_event()
    if route.left_out:
        log.warning("stages_not_walked", stages=list(route.left_out))
    client = connect(settings.need_redis())
    async with httpx.AsyncClient() as http:
        work = Canary(
            route,
            funnels,
            url=settings.url.rstrip("/") + "/v1/events",
            door=CollectorClient(http, settings.write_key(), RetryPolicy(patience_seconds=_PATIENCE_SECONDS)),
            reader=RedisCounterReader(client, settings.space),
        )
        server = _health(settings, work)
        try:
            if settings.health_port is not None:
                await server.start(settings.health_port)
                log.info("listening", url=f"http://{settings.health_host}:{server.port}", space=settings.space)
            await work.run(stop, every_seconds=settings.every)
        finally:
            await server.stop()
            await close(client)
    log.info("stopped")


def _health(settings: CanarySettings, work: Canary) -> WebServer:
    from streams.web.app import EXPOSITION, Readiness, web_app
    from streams.web.server import WebServer

    async def ready() -> Readiness:
        return Readiness(not work.trouble, work.trouble)

    async def rendered(accept: str) -> tuple[str, bytes]:  # noqa: ARG001 - it has one form
        return EXPOSITION, work.render()

    return WebServer(web_app(metrics=rendered, ready=ready), host=settings.health_host)
