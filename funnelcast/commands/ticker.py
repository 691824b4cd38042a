"""`funnelcast ticker`: moves the watermark of quiet partitions. One per space is enough, a second one does no harm."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from funnelcast.settings import Settings, load_settings

app = typer.Typer(add_completion=False)


@app.command(epilog="Example:  funnelcast ticker --kafka 127.0.0.1:9092 --every 5")
def ticker(
    kafka: Annotated[str | None, typer.Option(help="host:port[,host:port] of the brokers.")] = None,
    space: Annotated[str | None, typer.Option(help="Prefix of topics and Redis keys.")] = None,
    every: Annotated[float, typer.Option(help="Seconds between two ticks.", min=0.1)] = 5.0,
) -> None:
    """Write the time into every partition, so that deadlines pass where no event arrives."""
    asyncio.run(_run(load_settings(kafka=kafka, space=space), every))


async def _run(settings: Settings, seconds: float) -> None:
    from funnelcast.logs import configure_logs
    from funnelcast.signals import stop_event
    from schemas.topics import Topics
    from streams.ticker import run_ticker

    configure_logs()
    await run_ticker(settings.need_kafka(), Topics(settings.space), seconds=seconds, stop=stop_event())
