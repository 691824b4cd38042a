"""`funnelcast digest`: the report of a day or week to mailboxes and channels. Composes content and delivery."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from funnelcast.commands.options import FunnelsOption, JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import FunnelSettings, RedisSettings, SpaceSettings, StateSettings
from funnelcast.signals import run_until_told
from schemas.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from funnelcast.notify.delivery import Courier, Message
    from funnelcast.notify.destinations import Destinations

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class DigestSettings(StateSettings, FunnelSettings, SpaceSettings, RedisSettings):
    """Which space, which funnels, and where what could not be sent is kept."""


@app.command(
    epilog="Examples:  funnelcast digest daily --notify notify.yaml  ·  funnelcast digest weekly --dry-run  ·  "
    "cron:  0 8 * * *  funnelcast digest daily --notify /etc/funnelcast/notify.yaml"
)
@with_settings(DigestSettings)
def digest(
    settings: DigestSettings,
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
    from funnelcast.notify.destinations import load_destinations

    if (notify is None) != dry_run:
        raise typer.BadParameter("say where to: --notify FILE; or --dry-run to look at it", param_hint="--notify")
    told = None if notify is None else load_destinations(notify)
    messages = run_until_told(_messages(settings, funnel or settings.funnels, period, page=told.page if told else ""))
    if told is None:
        _show(messages, as_json=as_json)
        return
    configure_logs()
    courier = courier_of(settings.state_dir)
    sent = run_until_told(_send(courier, told, messages, period))
    if as_json:
        emit(json.dumps({"sent": sent, "failed": len(courier.failed), "dead_letters": str(courier.dead_letters)}))
    else:
        say(f"{sent} sent, {len(courier.failed)} not", err=True)
    if courier.failed:
        names = ", ".join(dict.fromkeys(courier.failed))
        raise TryAgainError(f"could not be sent to {names}; the texts are kept in {courier.dead_letters}")


def courier_of(state_dir: Path) -> Courier:
    """With its dead letters in the state directory."""
    from funnelcast.notify.delivery import Courier

    return Courier(state_dir / "notify-dead-letters.jsonl", os.environ, now_ms)


def now_ms() -> int:
    """Epoch milliseconds of this machine."""
    return time.time_ns() // 1_000_000


async def _messages(settings: DigestSettings, names: Sequence[str], period: str, *, page: str) -> list[Message]:
    from funnelcast.judging import stories_now
    from funnelcast.notify.content import digest_of
    from schemas.funnel.load import load_funnels
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    client, funnels = connect(settings.need_redis()), load_funnels(names)
    try:
        reader = RedisCounterReader(client, settings.space)
        stories = await stories_now(reader, funnels, clock_ms=now_ms)
        return [
            await digest_of(reader, funnel, period, stories, page=page, now_ms=now_ms())  # type: ignore[arg-type]
            for funnel in funnels
        ]
    finally:
        await close(client)


async def _send(courier: Courier, told: Destinations, messages: Sequence[Message], period: str) -> int:
    sent = 0
    for destination in told.destinations:
        for message in messages if period in destination.digest else ():
            sent += await courier.deliver(destination, message)
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
