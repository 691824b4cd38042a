"""`funnelcast stack up`: the embedded stack in the foreground. Starts and stops `funnelcast.stack`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from funnelcast.commands.options import OtherKafka, OtherRedis
from funnelcast.say import emit, say
from funnelcast.settings.load import load_settings
from funnelcast.settings.sections import StateSettings

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

    For evaluation and tests: the broker keeps its log in memory only.
    """
    # environment and file do not replace a part here: they usually name the stack that is to be started
    asyncio.run(_up(directory or load_settings(StateSettings).state_dir, kafka=kafka, redis=redis))


async def _up(directory: Path, *, kafka: str | None, redis: str | None) -> None:
    from funnelcast.signals import stop_event
    from funnelcast.stack.embedded import EVALUATION_NOTE, EmbeddedStack

    stop = stop_event()
    say(EVALUATION_NOTE, err=True)
    async with EmbeddedStack(directory, kafka=kafka, redis=redis) as stack:
        emit(json.dumps({"kafka": stack.kafka, "redis": stack.redis}))
        say(f"logs in {directory / 'logs'}; Ctrl-C stops both", err=True)
        while not stop.is_set():
            stack.check()
            try:
                await asyncio.wait_for(stop.wait(), 0.2)
            except TimeoutError:
                continue
    say("stopped", err=True)
