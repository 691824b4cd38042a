"""`funnelcast exporter`: the counters as Prometheus metrics. Composes settings, store and exporter; reads only."""

from __future__ import annotations

import asyncio

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.options import with_settings
from funnelcast.settings.processes import ExporterSettings

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Example:  funnelcast exporter --redis redis://127.0.0.1:6379 --funnels sales --port 9102, "
    "then  curl 127.0.0.1:9102/metrics"
)
@with_settings(ExporterSettings)
def exporter(settings: ExporterSettings) -> None:
    """Serve /metrics for Prometheus, /healthz and /readyz. Run one per space: two would count everything twice."""
    from funnelcast.readers import check_readers

    check_readers(settings)
    asyncio.run(_run(settings))


async def _run(settings: ExporterSettings) -> None:
    from funnelcast import __version__
    from funnelcast.logs import configure_logs
    from funnelcast.readers import ReadersOnly, check_store
    from funnelcast.settings.show import log_settings
    from funnelcast.signals import READER_SECONDS, end_within, stop_event
    from funnelcast.structlog_alone import structlog
    from producers.access.keys import KeyRing
    from schemas.funnel.load import load_funnels
    from streams.ending import end
    from streams.exporter.app import ExporterApp
    from streams.exporter.cache import SnapshotCache
    from streams.exporter.evidence_source import EvidenceSource
    from streams.exporter.source import SnapshotSource
    from streams.report.services.followed import FollowedFunnels
    from streams.report.services.targets import checked_targets
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader
    from streams.web.server import WebServer

    configure_logs()
    log_settings(settings)
    log = structlog.get_logger("funnelcast.exporter")
    funnels = FollowedFunnels(load_funnels(settings.funnels))
    targets = None if settings.targets is None else checked_targets(settings.targets, funnels)
    client = connect(settings.need_redis())
    reader = RedisCounterReader(client, settings.space)
    source = SnapshotSource(reader, funnels, clock_ms=wall_clock_ms, max_values=settings.max_values)
    cache = SnapshotCache(source.take, time_box_seconds=settings.time_box)
    evidence = EvidenceSource(
        reader,
        funnels,
        clock_ms=wall_clock_ms,
        period_seconds=settings.evidence_every,
        targets=targets,
        threshold=settings.threshold,
    )
    app = ExporterApp(cache, version=__version__, space=settings.space, evidence=lambda: evidence.newest)
    guarded = ReadersOnly(app, KeyRing(settings.keys)) if settings.require_read_key else app
    server = WebServer(guarded, host=settings.host)
    stop = stop_event()
    end_within(READER_SECONDS)  # evidence is computed on threads, which nothing else can end
    making_evidence = asyncio.create_task(evidence.run())
    try:
        await server.start(settings.port)
        log.info("listening", url=f"http://{settings.host}:{server.port}", space=settings.space)
        await check_store(reader, settings.time_box)
        async with funnels.following(reader):
            await stop.wait()
    finally:
        await server.stop()
        await end(making_evidence)
        await cache.close()
        await source.close()
        await close(client)
    log.info("stopped")
