"""`funnelcast alerts watch`: tells mailboxes and channels of alerts, for who has no Alertmanager. Reads the store."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.digest import courier_of, now_ms
from funnelcast.commands.options import FunnelsOption, with_settings
from funnelcast.settings.sections import FunnelSettings, RedisSettings, SpaceSettings, StateSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from funnelcast.notify.delivery import Courier
    from funnelcast.notify.destinations import Destinations
    from funnelcast.notify.watch import Told
    from schemas.funnel.model import Funnel
    from streams.store.port import CounterReader


@dataclass(frozen=True, kw_only=True)
class WatchSettings(StateSettings, FunnelSettings, SpaceSettings, RedisSettings):
    """Which space, which funnels, and where what could not be sent is kept."""


@with_settings(WatchSettings)
def watch(
    settings: WatchSettings,
    notify: Annotated[Path, typer.Option(help="File of destinations (docs/alerts.md).")],
    every: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Time between two looks.")] = 60.0,
    threshold: Annotated[float | None, typer.Option(min=0.1, help="Evidence in nats; default: 6.")] = None,
    funnel: FunnelsOption = None,
) -> None:
    """Tell of every alert once when it begins and once when it has been over for an hour, until Ctrl-C.

    In quiet hours only what is critical is sent, the rest when they are over. What cannot be sent after four tries is
    kept as a dead letter in the state directory. After a restart a standing alert is told once more.
    """
    from funnelcast.logs import configure_logs
    from funnelcast.notify.destinations import load_destinations
    from schemas.funnel.load import load_funnels
    from streams.evidence.alerts import THRESHOLD_NATS

    told = load_destinations(notify)
    funnels = load_funnels(funnel or settings.funnels)
    settings.need_redis()
    configure_logs()
    asyncio.run(_run(settings, told, funnels, every=every, threshold=threshold or THRESHOLD_NATS))


async def _run(
    settings: WatchSettings, told: Destinations, funnels: list[Funnel], *, every: float, threshold: float
) -> None:
    import structlog

    from funnelcast.judging import Judge
    from funnelcast.notify.watch import Watch
    from funnelcast.signals import stop_event
    from streams.store.connection import close, connect
    from streams.store.port import StoreError
    from streams.store.reader import RedisCounterReader

    log, stop = structlog.get_logger("funnelcast.notify"), stop_event()
    client, watching = connect(settings.need_redis()), Watch(told)
    reader = RedisCounterReader(client, settings.space)
    judge, courier = Judge(reader, funnels, clock_ms=now_ms, threshold=threshold), courier_of(settings.state_dir)
    by_name = {each.name: each for each in funnels}
    try:
        while not stop.is_set():
            try:
                for said in watching.look(await judge.stories(), now_ms()):
                    await _tell(courier, told, said, reader, by_name)
            except StoreError as error:
                log.warning("store_down", error=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every)
    finally:
        await close(client)


async def _tell(
    courier: Courier, told: Destinations, said: Told, reader: CounterReader, funnels: Mapping[str, Funnel]
) -> None:
    from funnelcast.notify.content import alert_of, over_of

    funnel = funnels[said.story["funnel"]]
    message = (
        over_of(said.story)
        if said.is_over
        else await alert_of(reader, funnel, said.story, page=told.page, now_ms=now_ms())
    )
    for destination in told.destinations:
        if destination.name in said.to:
            await courier.deliver(destination, message)
