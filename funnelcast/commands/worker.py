"""`funnelcast worker`: one counting process. Composes settings, store and worker; counts nothing itself."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from funnelcast.settings import Settings, load_settings

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Example:  funnelcast worker --kafka 127.0.0.1:9092 --redis redis://127.0.0.1:6379 --funnels sales "
    "--health-port 9101"
)
def worker(
    kafka: Annotated[str | None, typer.Option(help="host:port[,host:port] of the brokers.")] = None,
    redis: Annotated[str | None, typer.Option(help="URL of Redis or Valkey.")] = None,
    funnels: Annotated[str | None, typer.Option(help="Preset names or files, separated by commas.")] = None,
    space: Annotated[str | None, typer.Option(help="Prefix of topics and Redis keys.")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="Directory for local files.")] = None,
    watermark_delay: Annotated[str | None, typer.Option(help="How far the watermark stays behind, e.g. 1m.")] = None,
    health_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve /healthz, /readyz and /metrics here.")
    ] = None,
    health_host: Annotated[str, typer.Option(help="Address to serve them on.")] = "127.0.0.1",
    session_timeout: Annotated[
        float | None,
        typer.Option(help="Seconds after which a dead worker's partitions move; default 10 (Kafka: >= 6)."),
    ] = None,
    start_timeout: Annotated[
        float, typer.Option(help="Seconds to wait for broker, Redis and an assignment before exit 75.")
    ] = 30.0,
    max_persons: Annotated[int, typer.Option(help="Persons of a partition kept in memory.")] = 250_000,
    fetch_min_bytes: Annotated[int, typer.Option(help="Kafka answers when this much is there ...")] = 1_048_576,
    fetch_max_wait_ms: Annotated[int, typer.Option(help="... or after this time: latency against CPU.")] = 300,
) -> None:
    """Count events from Kafka into Redis, exactly once. Run as many as there are partitions to share."""
    settings = load_settings(
        kafka=kafka, redis=redis, funnels=funnels, space=space, state_dir=state_dir, watermark_delay=watermark_delay
    )
    options: dict[str, object] = {
        "health_port": health_port,
        "health_host": health_host,
        "session_seconds": session_timeout,
        "start_seconds": start_timeout,
        "max_persons": max_persons,
        "fetch_min_bytes": fetch_min_bytes,
        "fetch_max_wait_ms": fetch_max_wait_ms,
    }
    code = asyncio.run(_run(settings, options))
    # Client threads of a hung stop must not keep the process: everything that counts is in the store.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _run(settings: Settings, options: dict[str, object]) -> int:
    from funnelcast.logs import configure_logs
    from funnelcast.signals import stop_event
    from schemas.funnel.load import load_funnels
    from schemas.topics import Topics
    from streams.store.connection import connect, server_warnings
    from streams.store.redis import RedisPartitionStore
    from streams.worker.app import WorkerSettings, run_worker

    configure_logs()
    client = connect(settings.need_redis())
    store = RedisPartitionStore(client, settings.space)
    return await run_worker(
        WorkerSettings(
            kafka=settings.need_kafka(),
            topics=Topics(settings.space),
            funnels=load_funnels(settings.funnel_references),
            data_dir=settings.state_dir / "worker",
            watermark_delay_ms=settings.watermark_delay_ms,
            stop=stop_event(),
            **options,  # type: ignore[arg-type]
        ),
        store,
        lambda: server_warnings(client),
    )
