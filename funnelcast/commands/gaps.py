"""`funnelcast gaps`: an operator's decision to go on without records that are gone, and the list of such decisions."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Annotated

import typer

from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import KafkaSettings, RedisSettings, SpaceSettings

app = typer.Typer(
    no_args_is_help=True, help="Accept lost records explicitly, and list what was accepted.", add_completion=False
)


@dataclass(frozen=True, kw_only=True)
class StoreSettings(SpaceSettings, RedisSettings):
    """Where the counters of a space are."""


@dataclass(frozen=True, kw_only=True)
class GapSettings(StoreSettings, KafkaSettings):
    """Where they are, and the log that they count."""


@app.command(epilog='Example:  funnelcast gaps accept --partition 3 --offset 1500 --reason "retention was 1 h"')
@with_settings(GapSettings)
def accept(
    settings: GapSettings,
    *,
    partition: Annotated[int, typer.Option(min=0, help="Partition of the events topic.")],
    offset: Annotated[int, typer.Option(min=0, help="Where counting goes on (the worker's message names it).")],
    reason: Annotated[str, typer.Option(help="Why; recorded permanently.")],
    as_json: JsonFlag = False,
) -> None:
    """Move a partition's cursor past records that are gone, and record it. Stop the workers first.

    Exit 70 when the offset is not in the log, or lies before what is counted already: nothing is changed then.
    """
    if not reason.strip():
        raise typer.BadParameter("say why, so that a later reader of the numbers knows", param_hint="--reason")
    before, now = asyncio.run(_accept(settings, partition=partition, offset=offset, reason=reason.strip()))
    if as_json:
        emit(json.dumps({"partition": partition, "from": before, "to": now, "reason": reason.strip()}))
    else:
        say(f"partition {partition}: cursor moved from {before} to {now}; recorded. Start the workers again.")


@app.command("list", epilog="Example:  funnelcast gaps list --json")
@with_settings(StoreSettings)
def list_gaps(settings: StoreSettings, as_json: JsonFlag = False) -> None:
    """Every gap that was accepted in this space, oldest first."""
    gaps = asyncio.run(_list(settings))
    if as_json:
        emit(json.dumps(gaps))
        return
    if not gaps:
        say("no gap was ever accepted in this space")
    for gap in gaps:
        say("  ".join(f"{name}={value}" for name, value in gap.items()))


async def _accept(settings: GapSettings, *, partition: int, offset: int, reason: str) -> tuple[int, int]:
    from streams.admin import log_range_of
    from streams.store.connection import connect
    from streams.store.redis import RedisPartitionStore
    from streams.transport.cursor import unacceptable_gap

    topic = settings.topics.events
    log_range = await log_range_of(settings.need_kafka(), topic, partition=partition)
    problem = unacceptable_gap(topic, partition=partition, offset=offset, log_range=log_range)
    if problem is not None:
        raise problem
    client = connect(settings.need_redis())
    try:
        return await RedisPartitionStore(client, settings.space).accept_gap(partition, offset, reason)
    finally:
        await client.aclose()


async def _list(settings: StoreSettings) -> list[dict[str, str]]:
    from streams.store.connection import connect
    from streams.store.reader import RedisCounterReader

    client = connect(settings.need_redis())
    try:
        gaps = await RedisCounterReader(client, settings.space).gaps()
    finally:
        await client.aclose()
    return sorted(gaps, key=lambda gap: int(gap["at_ms"]))
