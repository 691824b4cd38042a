"""`funnelcast digest`: the report of a day or week to mailboxes and channels. Composes content and delivery."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.options import FunnelsOption, JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import (
    FunnelSettings,
    LinkSettings,
    RedisSettings,
    SpaceSettings,
    StateSettings,
    ThresholdSettings,
)
from funnelcast.signals import run_until_told
from schemas.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from funnelcast.notify.delivery import Deliverer, Message
    from funnelcast.notify.destinations import Destinations

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class DigestSettings(LinkSettings, ThresholdSettings, StateSettings, FunnelSettings, SpaceSettings, RedisSettings):
    """Which space, which funnels, and where what could not be sent is kept."""


@app.command(
    epilog="Examples:  funnelcast digest daily --notify notify.yaml  ·  funnelcast digest weekly --dry-run  ·  "
    "cron:  0 8 * * *  funnelcast digest daily --notify /etc/funnelcast/notify.yaml"
)
@with_settings(DigestSettings)
def digest(
    settings: DigestSettings,
    *,
    period: Annotated[Literal["daily", "weekly"], typer.Argument(help="The last whole day, or the last seven.")],
    notify: Annotated[Path | None, typer.Option(help="File of destinations (docs/alerts.md).")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the text, write the picture here, and send nothing.")
    ] = False,
    funnel: FunnelsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Send each funnel's report: the owner's view, what changed since the days before, alerts that speak, a chart.

    Run it by a timer. What cannot be sent after four tries is kept as a dead letter, and the exit code is 75.
    """
    from funnelcast.logs import configure_logs
    from funnelcast.notify.destinations import usable_destinations

    if (notify is None) != dry_run:
        raise typer.BadParameter("say where to: --notify FILE; or --dry-run to look at it", param_hint="--notify")
    destinations = None if notify is None else usable_destinations(notify, os.environ)
    messages = run_until_told(
        _messages(settings, funnel or (), period=period, page=destinations.page if destinations else "")
    )
    if destinations is None:
        _show(messages, as_json=as_json)
        return
    configure_logs()
    deliverer = deliverer_of(settings.state_dir)
    sent = run_until_told(_send(deliverer, destinations, messages=messages, period=period))
    if as_json:
        emit(json.dumps({"sent": sent, "failed": len(deliverer.failed), "dead_letters": str(deliverer.dead_letters)}))
    else:
        say(f"{sent} sent, {len(deliverer.failed)} not", err=True)
    if deliverer.failed:
        names = ", ".join(dict.fromkeys(deliverer.failed))
        raise TryAgainError(f"could not be sent to {names}; the texts are kept in {deliverer.dead_letters}")


def deliverer_of(state_dir: Path) -> Deliverer:
    """With its dead letters in the state directory."""
    from funnelcast.notify.delivery import Deliverer

    return Deliverer(state_dir / "notify-dead-letters.jsonl", os.environ, wall_clock_ms)


async def _messages(settings: DigestSettings, names: Sequence[str], *, period: str, page: str) -> list[Message]:
    from funnelcast.counted_most import chosen_now
    from funnelcast.judging import stories_now
    from funnelcast.notify.content import digest_of
    from schemas.funnel.load import load_funnels
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    redis = settings.need_redis()
    funnels = await chosen_now(redis, settings.space, names=names, configured=load_funnels(settings.funnels))
    client = connect(redis)
    try:
        reader = RedisCounterReader(client, settings.space)
        now = await stories_now(reader, funnels, clock_ms=wall_clock_ms, threshold=settings.threshold)
        stories = [settings.links.in_story(story) for story in now]
        return [
            await digest_of(reader, funnel, period=period, stories=stories, page=page, now_ms=wall_clock_ms())  # type: ignore[arg-type]
            for funnel in funnels
        ]
    finally:
        await close(client)


async def _send(deliverer: Deliverer, destinations: Destinations, *, messages: Sequence[Message], period: str) -> int:
    sent = 0
    for destination in destinations.destinations:
        for message in messages if period in destination.digest else ():
            sent += await deliverer.deliver(destination, message)
    return sent


def _show(messages: Sequence[Message], *, as_json: bool) -> None:
    if as_json:
        emit(json.dumps([{"subject": one.subject, "text": one.text, "chart": one.sparks} for one in messages]))
        return
    for number, message in enumerate(messages, 1):
        emit(f"{message.subject}\n\n{message.text}\n\n{message.sparks}\n")
        if message.picture is not None:
            path = Path(f"digest-{number}.png")
            path.write_bytes(message.picture)
            say(f"the picture: {path}", err=True)
