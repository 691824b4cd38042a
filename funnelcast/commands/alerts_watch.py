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
from funnelcast.settings.sections import (
    FunnelSettings,
    LinkSettings,
    RedisSettings,
    SpaceSettings,
    StateSettings,
    ThresholdSettings,
)

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from funnelcast.judging import Judge
    from funnelcast.links import Links
    from funnelcast.notify.delivery import Deliverer
    from funnelcast.notify.destinations import Destinations
    from funnelcast.notify.watch import Notice, Watch
    from schemas.funnel.model import Funnel
    from streams.evidence.story import Story
    from streams.store.port import CounterReader


@dataclass(frozen=True, kw_only=True)
class WatchSettings(LinkSettings, ThresholdSettings, StateSettings, FunnelSettings, SpaceSettings, RedisSettings):
    """Which space, which funnels, and where what could not be sent is kept."""


@with_settings(WatchSettings)
def watch(
    settings: WatchSettings,
    notify: Annotated[Path, typer.Option(help="File of destinations (docs/alerts.md).")],
    *,
    every: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Time between two looks.")] = 60.0,
    funnel: FunnelsOption = None,
) -> None:
    """Send every alert once when it begins and once when it has been over for an hour, until Ctrl-C.

    In quiet hours only what is critical is sent, the rest when they are over. What cannot be sent after four tries is
    kept as a dead letter in the state directory. After a restart a standing alert is sent once more.
    """
    from funnelcast.counted_most import chosen_now
    from funnelcast.logs import configure_logs
    from funnelcast.notify.destinations import usable_destinations
    from funnelcast.signals import run_until_told
    from schemas.funnel.load import load_funnels

    destinations = usable_destinations(notify, os.environ)
    redis, funnels = settings.need_redis(), load_funnels(settings.funnels)
    named: Sequence[Funnel] = ()
    if funnel:
        named = run_until_told(chosen_now(redis, settings.space, names=funnel, configured=funnels))
    configure_logs()
    judging = _Judging(named or funnels, {each.name for each in named})
    asyncio.run(_run(settings, destinations, judging=judging, every=every))


@dataclass(frozen=True)
class _Judging:
    funnels: Sequence[Funnel]
    names: Set[str]
    """Of those that somebody named; of none: all that are counted."""


async def _run(settings: WatchSettings, destinations: Destinations, *, judging: _Judging, every: float) -> None:
    from funnelcast.judging import Judge
    from funnelcast.notify.watch import Watch
    from funnelcast.signals import stop_event
    from streams.ending import end
    from streams.report.services.followed import FollowedFunnels
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    stopping = asyncio.create_task(stop_event().wait())
    client = connect(settings.need_redis())
    reader = RedisCounterReader(client, settings.space)
    followed = FollowedFunnels(judging.funnels)
    judge = Judge(reader, followed, clock_ms=wall_clock_ms, threshold=settings.threshold)
    teller = _Teller(reader, destinations, deliverer_of(settings.state_dir), judging.names, followed, settings.links)
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
    log.info("watching", funnels=sorted(teller.names) or "all", every_seconds=every)
    while True:
        try:
            stories = [teller.links.in_story(story) for story in await judge.stories() if teller.is_asked(story)]
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
    names: Set[str]
    """Of the funnels that somebody asked for; empty: all."""
    funnels: Sequence[Funnel]
    """In the versions that are counted; others than those asked for may be among them."""
    links: Links

    def is_asked(self, story: Story) -> bool:
        return not self.names or story["funnel"] in self.names

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
