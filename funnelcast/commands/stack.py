"""`funnelcast stack up`: the embedded stack in the foreground. Starts and stops `funnelcast.stack`."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from funnelcast.commands.options import OtherKafka, OtherRedis
from funnelcast.say import emit, say
from funnelcast.settings.load import load_settings
from funnelcast.settings.running import Place, place
from funnelcast.settings.sections import StateSettings

if TYPE_CHECKING:
    from funnelcast.stack.embedded import EmbeddedStack
    from funnelcast.stack.services import ServiceSettings

_LOOK_SECONDS: Final = 0.2
app = typer.Typer(no_args_is_help=True, help="Embedded broker and Valkey for a laptop, tests and the demo.")


@app.callback()
def _group() -> None:
    """Keeps `up` a subcommand of its own."""


@app.command(epilog="Examples:  funnelcast stack up --all  ·  funnelcast stack up --dir /tmp/stack   (Ctrl-C stops it)")
def up(
    *,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Logs and data; default: the state directory.")
    ] = None,
    is_whole: Annotated[
        bool, typer.Option("--all", help="With a collector, a worker, a ticker and an exporter: all that counts.")
    ] = False,
    has_canary: Annotated[
        bool, typer.Option("--canary", help="With --all: and journeys of nobody that show how fresh the numbers are.")
    ] = False,
    kafka: OtherKafka = None,
    redis: OtherRedis = None,
) -> None:
    """Start a Kafka-protocol broker and Valkey; print their addresses as one JSON line when both are ready.

    Commands that are started in the same directory find them by themselves (running.toml of the state directory).
    For evaluation and tests: the broker keeps its log in memory only.
    """
    # environment and file do not replace a part here: they usually name the stack that is to be started
    from funnelcast.stack.embedded import EVALUATION_NOTE, EmbeddedStack
    from funnelcast.stack.services import ServiceSettings

    if has_canary and not is_whole:
        raise typer.BadParameter("a canary needs a collector and a worker: add --all", param_hint="--canary")
    home = directory or load_settings(StateSettings).state_dir
    settings = load_settings(ServiceSettings) if is_whole else None
    say(EVALUATION_NOTE, err=True)
    with place(home) as running:
        embedded = EmbeddedStack(home, kafka=kafka, redis=redis, prefers_fixed_ports=directory is None, report=_note)
        asyncio.run(_run(embedded, settings, running=running, has_canary=has_canary))
    say("stopped", err=True)


async def _run(embedded: EmbeddedStack, settings: ServiceSettings | None, *, running: Place, has_canary: bool) -> None:
    from funnelcast.signals import stop_event, until_told

    await until_told(_serve(embedded, settings, running=running, has_canary=has_canary), stop_event())


async def _serve(
    embedded: EmbeddedStack, settings: ServiceSettings | None, *, running: Place, has_canary: bool
) -> None:
    from funnelcast.stack.services import services

    async with AsyncExitStack() as parts:
        stack = await parts.enter_async_context(embedded)
        addresses = {"kafka": stack.kafka, "redis": stack.redis}
        checks = [stack.check]
        if settings is not None:
            started = await parts.enter_async_context(services(stack, settings, report=_note, has_canary=has_canary))
            addresses |= {"url": started.url, "metrics": started.metrics, "page": started.page}
            if started.canary is not None:
                addresses["canary"] = started.canary
            checks.append(started.supervisor.check)
        running.tell({name: address for name, address in addresses.items() if name in ("kafka", "redis", "url")})
        emit(json.dumps(addresses))
        if "page" in addresses:
            say(f"the page: {addresses['page']}", err=True)
        say(f"commands started here find them; elsewhere add --config {running.path}", err=True)
        say(f"logs in {stack.directory}; Ctrl-C stops everything", err=True)
        while True:
            for check in checks:
                check()
            await asyncio.sleep(_LOOK_SECONDS)


def _note(line: str) -> None:
    say(line, err=True)
