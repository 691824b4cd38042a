"""`funnelcast worker`: one counting process. Composes settings, store and worker; counts nothing itself."""

from __future__ import annotations

import asyncio
import os
import sys

import typer

from funnelcast.commands.options import with_settings
from funnelcast.settings.processes import WorkerSettings

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Example:  funnelcast worker --kafka 127.0.0.1:9092 --redis redis://127.0.0.1:6379 --funnels sales "
    "--health-port 9101"
)
@with_settings(WorkerSettings)
def worker(settings: WorkerSettings) -> None:
    """Count events from Kafka into Redis, exactly once. Run as many as there are partitions to share."""
    code = asyncio.run(_run(settings))
    # Client threads of a hung stop must not keep the process: everything that counts is in the store.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _run(settings: WorkerSettings) -> int:
    from funnelcast.logs import configure_logs
    from funnelcast.settings.show import log_settings
    from funnelcast.signals import end_within, stop_event
    from schemas.funnel.load import load_funnels
    from streams.store.connection import connect, server_warnings
    from streams.store.redis import RedisPartitionStore
    from streams.worker import app as counting
    from streams.worker.settings import WorkerSettings as CountingSettings

    configure_logs()
    log_settings(settings)
    stop = stop_event()
    end_within(counting.HARD_EXIT_SECONDS)
    client = connect(settings.need_redis())
    wanted = CountingSettings(
        kafka=settings.need_kafka(),
        topics=settings.topics,
        funnels=load_funnels(settings.funnels),
        data_dir=settings.state_dir / "worker",
        watermark_delay_ms=settings.watermark_delay_ms,
        health_port=settings.health_port,
        health_host=settings.health_host,
        session_seconds=settings.session_timeout,
        start_seconds=settings.start_timeout,
        max_persons=settings.max_persons,
        max_person_events=settings.max_person_events,
        fetch_min_bytes=settings.fetch_min_bytes,
        fetch_max_wait_ms=settings.fetch_max_wait_ms,
        stop=stop,
    )
    store = RedisPartitionStore(client, settings.space)
    return await counting.run_worker(wanted, store, store_warnings=lambda: server_warnings(client))
