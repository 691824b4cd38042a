"""`funnelcast exporter`: the counters as Prometheus metrics. Composes settings, store and exporter; reads only."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from funnelcast.settings import Settings, load_settings

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Example:  funnelcast exporter --redis redis://127.0.0.1:6379 --funnels sales --port 9102, "
    "then  curl 127.0.0.1:9102/metrics"
)
def exporter(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 9102,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    redis: Annotated[str | None, typer.Option(help="URL of Redis or Valkey.")] = None,
    space: Annotated[str | None, typer.Option(help="Prefix of topics and Redis keys.")] = None,
    funnels: Annotated[str | None, typer.Option(help="Preset names or files, separated by commas.")] = None,
    max_values: Annotated[
        int, typer.Option(min=0, help="Values of a dimension with series of their own; the rest is `other`.")
    ] = 50,
    time_box: Annotated[float, typer.Option(min=0.1, help="Seconds a scrape waits for Redis.")] = 2.0,
    require_read_key: Annotated[bool, typer.Option(help="/metrics only with a key of the scope read.")] = False,
    keys: Annotated[Path | None, typer.Option(help="File of hashed keys (`funnelcast keys create`).")] = None,
) -> None:
    """Serve /metrics for Prometheus, /healthz and /readyz. Run one per space: two would count everything twice."""
    from funnelcast.readers import check_readers

    settings = load_settings(redis=redis, space=space, funnels=funnels, keys=keys)
    check_readers(settings, require_read_key)
    options: dict[str, Any] = {"host": host, "port": port, "max_values": max_values, "time_box": time_box}
    asyncio.run(_run(settings, require_read_key=require_read_key, **options))


async def _run(
    settings: Settings, *, host: str, port: int, max_values: int, time_box: float, require_read_key: bool
) -> None:
    import structlog

    from funnelcast import __version__
    from funnelcast.logs import configure_logs
    from funnelcast.readers import ReadersOnly
    from funnelcast.signals import stop_event
    from producers.access.keys import KeyRing
    from schemas.funnel.load import load_funnels
    from streams.exporter.app import ExporterApp
    from streams.exporter.cache import SnapshotCache
    from streams.exporter.snapshot import SnapshotSource
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader
    from streams.web.server import WebServer

    configure_logs()
    log = structlog.get_logger("funnelcast.exporter")
    funnels = load_funnels(settings.funnel_references)
    client = connect(settings.need_redis())
    reader = RedisCounterReader(client, settings.space)
    source = SnapshotSource(reader, funnels, clock_ms=lambda: time.time_ns() // 1_000_000, max_values=max_values)
    cache = SnapshotCache(source.take, time_box_seconds=time_box)
    app = ExporterApp(cache, version=__version__, space=settings.space)
    server = WebServer(ReadersOnly(app, KeyRing(settings.keys)) if require_read_key else app, host=host)
    stop = stop_event()
    try:
        await server.start(port)
        log.info("listening", url=f"http://{host}:{server.port}", space=settings.space)
        await stop.wait()
    finally:
        await server.stop()
        await cache.close()
        await source.close()
        await close(client)
    log.info("stopped")
