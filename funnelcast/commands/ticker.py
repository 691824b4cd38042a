"""`funnelcast ticker`: moves the watermark of quiet partitions. One per space is enough, a second one does no harm."""

from __future__ import annotations

import asyncio

import typer

from funnelcast.commands.options import with_settings
from funnelcast.settings.processes import TickerSettings

app = typer.Typer(add_completion=False)


@app.command(epilog="Example:  funnelcast ticker --kafka 127.0.0.1:9092 --every 5")
@with_settings(TickerSettings)
def ticker(settings: TickerSettings) -> None:
    """Write the time into every partition, so that deadlines pass where no event arrives."""
    settings.need_kafka()
    asyncio.run(_run(settings))


async def _run(settings: TickerSettings) -> None:
    from funnelcast.logs import configure_logs
    from funnelcast.settings.show import log_settings
    from funnelcast.signals import stop_event
    from streams.ticker import run_ticker

    configure_logs()
    log_settings(settings)
    await run_ticker(settings.need_kafka(), settings.topics, seconds=settings.every, stop=stop_event())
