"""`funnelcast alerts watch`: tells mailboxes and channels of alerts, for who has no Alertmanager. Reads the store."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.digest import deliverer_of
from funnelcast.commands.options import FunnelsOption, with_settings
from funnelcast.settings.sections import FunnelSettings, RedisSettings, SpaceSettings, StateSettings

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from funnelcast.judging import Judge
    from funnelcast.notify.delivery import Deliverer
    from funnelcast.notify.destinations import Destinations
    from funnelcast.notify.watch import Notice, Watch
    from schemas.funnel.model import Funnel
    from streams.store.port import CounterReader


@dataclass(frozen=True, kw_only=True)
class WatchSettings(StateSettings, FunnelSettings, SpaceSettings, RedisSettings):
    """Which space, which funnels, and where what could not be sent is kept."""


@with_settings(WatchSettings)
def watch(
    settings: WatchSettings,
    notify: Annotated[Path, typer.Option(help="File of destinations (docs/alerts.md).")],
    *,
    every: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Time between two looks.")] = 60.0,
    threshold: Annotated[float | None, typer.Option(min=0.1, help="Evidence in nats; default: 6.")] = None,
    funnel: FunnelsOption = None,
) -> None:
    """Send every alert once when it begins and once when it has been over for an hour, until Ctrl-C.

    In quiet hours only what is critical is sent, the rest when they are over. What cannot be sent after four tries is
    kept as a dead letter in the state directory. After a restart a standing alert is sent once more.
    """
    from funnelcast.counted_most import chosen_of
    from funnelcast.logs import configure_logs
    from funnelcast.notify.destinations import usable_destinations
    from schemas.funnel.load import load_funnels
    from streams.evidence.alerts import THRESHOLD_NATS

    destinations = usable_destinations(notify, os.environ)
    funnels = chosen_of(funnel or (), load_funnels(settings.funnels))
    settings.need_redis()
    configure_logs()
    asyncio.run(_run(settings, destinations, funnels=funnels, every=every, threshold=threshold or THRESHOLD_NATS))


async def _run(
    settings: WatchSettings, destinations: Destinations, *, funnels: list[Funnel], every: float, threshold: float
) -> None:
    from funnelcast.judging import Judge
    from funnelcast.notify.watch import Watch
    from funnelcast.signals import stop_event
    from streams.ending import end
    from streams.report.followed import FollowedFunnels
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    stopping = asyncio.create_task(stop_event().wait())
    client = connect(settings.need_redis())
    reader = RedisCounterReader(client, settings.space)
    followed = FollowedFunnels(funnels)
    judge = Judge(reader, followed, clock_ms=wall_clock_ms, threshold=threshold)
    teller = _Teller(reader, destinations, deliverer_of(settings.state_dir), {each.name for each in funnels}, followed)
    watching = asyncio.create_task(_watch(judge, Watch(destinations), teller=teller, every=every))
    try:
        async with followed.following(reader):
            # What is under way is broken off: who starts again tells of it once more.
            await asyncio.wait({stopping, watching}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(stopping)
        await end(watching)
        await close(client)
    if not watching.cancelled():
        watching.result()


async def _watch(judge: Judge, watch: Watch, *, teller: _Teller, every: float) -> None:
    """For ever."""
    import structlog

    from streams.store.port import StoreError

    log = structlog.get_logger("funnelcast.notify")
    log.info("watching", funnels=sorted(teller.watched), every_seconds=every)
    while True:
        try:
            stories = [story for story in await judge.stories() if story["funnel"] in teller.watched]
        except StoreError as error:
            log.warning("store_down", error=str(error))
        else:
            for notice in watch.look(stories, wall_clock_ms()):
                await teller.tell(notice)
        await asyncio.sleep(every)


@dataclass(frozen=True)
class _Teller:
    reader: CounterReader
    destinations: Destinations
    deliverer: Deliverer
    watched: Set[str]
    funnels: Sequence[Funnel]
    """In the versions that are counted; others than those watched may be among them."""

    async def tell(self, notice: Notice) -> None:
        from funnelcast.notify.content import alert_of, over_of

        story = notice.story
        message = over_of(story)
        if not notice.is_over:
            page, now_ms = self.destinations.page, wall_clock_ms()
            funnel = next(funnel for funnel in self.funnels if funnel.name == story["funnel"])
            message = await alert_of(self.reader, funnel, story=story, page=page, now_ms=now_ms)
        for destination in self.destinations.destinations:
            if destination.name in notice.to:
                await self.deliverer.deliver(destination, message)
