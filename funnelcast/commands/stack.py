"""`funnelcast stack up`: the embedded stack in the foreground. Starts and stops `funnelcast.stack`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import OtherKafka, OtherRedis
from funnelcast.say import emit, say
from funnelcast.settings.load import load_settings
from funnelcast.settings.running import Place, place
from funnelcast.settings.sections import StateSettings

if TYPE_CHECKING:
    from funnelcast.stack.embedded import EmbeddedStack

app = typer.Typer(no_args_is_help=True, help="Embedded broker and Valkey for a laptop, tests and the demo.")


@app.callback()
def _group() -> None:
    """Keeps `up` a subcommand of its own."""


@app.command(epilog="Example:  funnelcast stack up --dir /tmp/stack   (Ctrl-C stops it)")
def up(
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Logs and data; default: the state directory.")
    ] = None,
    kafka: OtherKafka = None,
    redis: OtherRedis = None,
) -> None:
    """Start a Kafka-protocol broker and Valkey; print their addresses as one JSON line when both are ready.

    Commands that are started in the same directory find them by themselves (running.toml of the state directory).
    For evaluation and tests: the broker keeps its log in memory only.
    """
    # environment and file do not replace a part here: they usually name the stack that is to be started
    from funnelcast.stack.embedded import EVALUATION_NOTE, EmbeddedStack

    home = directory or load_settings(StateSettings).state_dir
    say(EVALUATION_NOTE, err=True)
    with place(home) as told:
        asyncio.run(_run(EmbeddedStack(home, kafka=kafka, redis=redis, prefers_fixed_ports=directory is None), told))
    say("stopped", err=True)


async def _run(embedded: EmbeddedStack, told: Place) -> None:
    from funnelcast.signals import stop_event

    stop = stop_event()
    async with embedded as stack:
        addresses = {"kafka": stack.kafka, "redis": stack.redis}
        told.tell(addresses)
        emit(json.dumps(addresses))
        say(f"commands started here find them; elsewhere add --config {told.path}", err=True)
        say(f"logs in {stack.directory / 'logs'}; Ctrl-C stops both", err=True)
        while not stop.is_set():
            stack.check()
            try:
                await asyncio.wait_for(stop.wait(), 0.2)
            except TimeoutError:
                continue
