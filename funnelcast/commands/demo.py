"""`funnelcast demo`: the main job on this machine. Composes the plan and the view; funnelcast.demo.run works."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import OtherKafka, OtherRedis, with_settings
from funnelcast.settings.sections import StateSettings

if TYPE_CHECKING:
    from funnelcast.demo.live import DemoPlan

app = typer.Typer(help="Run everything on this machine: real history, then a live simulated shop.")

LOG_WIDTH = 140


@app.command(epilog="Example:  DEMO_SECONDS=20 funnelcast demo   (without it: until Ctrl-C)")
@with_settings(StateSettings)
def demo(
    settings: StateSettings,
    *,
    seconds: Annotated[
        float | None, typer.Option(min=0, envvar="DEMO_SECONDS", help="Seconds of live shop; default: until Ctrl-C.")
    ] = None,
    rate: Annotated[float, typer.Option(min=1, max=5_000, help="Events a second of the live shop.")] = 300,
    kafka: OtherKafka = None,
    redis: OtherRedis = None,
) -> None:
    """Count a real purchase history through the whole system, then run a live shop until Ctrl-C."""
    from funnelcast.demo.live import DemoPlan

    asyncio.run(
        _demo(DemoPlan(state_dir=settings.state_dir, seconds=seconds, events_per_second=rate, kafka=kafka, redis=redis))
    )


async def _demo(plan: DemoPlan) -> None:
    from funnelcast.demo.run import run_demo
    from funnelcast.demo.view import View
    from funnelcast.screen import Screen
    from funnelcast.signals import stop_event

    console = Screen()
    if not console.is_terminal:
        console.width = LOG_WIDTH  # nobody knows: lines must not be folded in a log
    await run_demo(plan, View(console), stop=stop_event())
