"""`funnelcast journeys`: what becomes of journeys, live on the terminal or as webhooks."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import FunnelSettings, KafkaSettings, SpaceSettings, StateSettings
from schemas.errors import InputFileError, UsageError

if TYPE_CHECKING:
    from streams.journeys.inbox import Change, Inbox
    from streams.journeys.reader import Batch, JourneysReader
    from streams.journeys.wanted import Wanted

app = typer.Typer(
    no_args_is_help=True, help="What becomes of journeys: follow it, or send it on.", add_completion=False
)
_ROUNDS = 50
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
Funnels = Annotated[list[str] | None, typer.Option("--funnel", help="Only of this funnel; repeat for several.")]
Name = Annotated[str, typer.Option("--as", metavar="NAME", help="Name of this reader: under it stands what it knows.")]


@dataclass(frozen=True, kw_only=True)
class JourneySettings(SpaceSettings, KafkaSettings, StateSettings):
    """Which space, and where a reader keeps what it knows."""


@dataclass(frozen=True, kw_only=True)
class ChangeSettings(JourneySettings, FunnelSettings):
    """And which funnels are counted, to say where none of them publishes anything."""


@app.command(
    epilog="Examples:  funnelcast journeys follow  ·  funnelcast journeys follow --change abandoned --change lost "
    "--funnel deals  ·  funnelcast journeys follow --from-beginning --until-idle 2 --json  ·  "
    "funnelcast journeys follow --as crm --json >> changes.jsonl"
)
@with_settings(ChangeSettings)
def follow(
    settings: ChangeSettings,
    *,
    funnel: Funnels = None,
    change: Annotated[
        list[str] | None, typer.Option(help="Only stalled, abandoned, ... and what takes it back; repeat for several.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="Go on where the reader of this name stopped; each change once."),
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Of a new reader: also what was published before.")
    ] = False,
    until_idle: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="End when nothing has come for so long.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each change as a line of JSON.")] = False,
) -> None:
    """Print what becomes of journeys as it is published, until Ctrl-C. Funnels with `journeys: true` publish it."""
    from streams.journeys.inbox import Inbox

    wanted = _wanted(funnel, change)
    _say_if_none_publishes(settings)
    show = _show_json if as_json else _show_line
    with Inbox(None if name is None else _path(settings, name)) as inbox:
        asyncio.run(
            _follow(settings, inbox, wanted=wanted, show=show, from_beginning=from_beginning, until_idle=until_idle)
        )


@app.command(
    epilog="Examples:  funnelcast journeys send --url https://crm.example.org/hook --secret-file secret.txt  ·  "
    "funnelcast journeys send --as desk --change stalled --url http://127.0.0.1:9000/ --secret-file secret.txt"
)
@with_settings(ChangeSettings)
def send(
    settings: ChangeSettings,
    *,
    url: Annotated[str, typer.Option(help="Where changes are posted to.")],
    secret_file: Annotated[Path, typer.Option(help="File with the secret of the signature: whsec_ and base64.")],
    funnel: Funnels = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            help=r"Which changes, and what takes them back. \[default: stalled, abandoned, lost, revived, completed]"
        ),
    ] = None,
    name: Name = "webhook",
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Of a new reader: also what was published before.")
    ] = False,
    until_idle: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="End when nothing has come or is due for so long.")
    ] = None,
) -> None:
    """Post each change once, signed as Standard Webhooks are; try again for 16 hours, then give up (see dead)."""
    from streams.journeys.inbox import Inbox
    from streams.journeys.sender import parse_secret
    from streams.journeys.wanted import WIN_BACK

    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no address; write https://...")
    try:
        key = parse_secret(secret_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{secret_file}: cannot be read: {error}") from None
    wanted = _wanted(funnel, change or list(WIN_BACK))
    _say_if_none_publishes(settings)
    with Inbox(_path(settings, name)) as inbox:
        asyncio.run(
            _send(
                settings, inbox, wanted=wanted, url=url, key=key, from_beginning=from_beginning, until_idle=until_idle
            )
        )


@app.command(epilog="Examples:  funnelcast journeys dead --as webhook  ·  funnelcast journeys dead --retry")
@with_settings(JourneySettings)
def dead(
    settings: JourneySettings,
    *,
    name: Name = "webhook",
    retry: Annotated[bool, typer.Option("--retry", help="Try all of them again.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """What a sender has given up, with the last error; with --retry it is due again."""
    from streams.journeys.inbox import Inbox

    path = _path(settings, name)
    if not path.is_file():
        raise UsageError(f"no sender has run as {name!r} here; there is no {path}")
    with Inbox(path) as inbox:
        given_up = inbox.dead()
        revived = inbox.revive(wall_clock_ms()) if retry else 0
    if as_json:
        shown = [{"change": json.loads(d.change.body), "attempts": d.attempts, "error": d.error} for d in given_up]
        emit(json.dumps({"dead": shown, "retried": revived}, ensure_ascii=False))
        return
    for each in given_up:
        say(f"{each.change.id}  {each.change.person}  {each.attempts} attempts, {each.error}")
    say(f"{len(given_up)} given up{f', {revived} to be tried again' if retry else ''}")


def _wanted(funnels: Collection[str] | None, changes: Collection[str] | None) -> Wanted:
    """Raises UsageError."""
    from streams.journeys.wanted import CHANGES, Wanted

    if unknown := [each for each in changes or () if each not in CHANGES]:
        raise UsageError(f"{unknown[0]!r} is no change; write {', '.join(CHANGES)}")
    return Wanted(funnels or None, changes or None)


def _say_if_none_publishes(settings: ChangeSettings) -> None:
    from schemas.funnel.load import load_funnels

    try:
        funnels = load_funnels(settings.funnels)
    except InputFileError:
        return  # no funnel is needed to read changes
    if not any(funnel.journeys for funnel in funnels):
        names = ", ".join(funnel.name for funnel in funnels)
        say(
            f"None of the funnels set here ({names}) publishes its journeys: write `journeys: true` into a file, and "
            "name the file in FUNNELCAST_FUNNELS (docs/journeys.md). Waiting for those of others.",
            err=True,
        )


def _path(settings: JourneySettings, name: str) -> Path:
    """Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"--as {name!r}: write a plain name of a-z 0-9 _ -, e.g. crm")
    return settings.state_dir / "journeys" / f"{settings.space}.{name}.sqlite"


async def _follow(
    settings: JourneySettings,
    inbox: Inbox,
    *,
    wanted: Wanted,
    show: Callable[[Change], None],
    from_beginning: bool,
    until_idle: float | None,
) -> None:
    from funnelcast.signals import stop_event

    async def nothing() -> bool:
        return False

    def take(batch: Batch, changes: list[Change]) -> None:
        inbox.take(batch.partition, batch.next_offset, changes=changes, now_ms=wall_clock_ms(), hand_on=show)

    reader = _reader(settings, inbox, from_beginning=from_beginning)
    await _read(reader, wanted, take=take, work=nothing, stop=stop_event(), until_idle=until_idle)


async def _send(
    settings: JourneySettings,
    inbox: Inbox,
    *,
    wanted: Wanted,
    url: str,
    key: bytes,
    from_beginning: bool,
    until_idle: float | None,
) -> None:
    import httpx

    from funnelcast.logs import configure_logs
    from funnelcast.signals import stop_event
    from streams.journeys.sender import WebhookSender

    configure_logs()
    stop = stop_event()
    async with httpx.AsyncClient() as client:
        sender = WebhookSender(inbox, client, url=url, key=key, clock_ms=wall_clock_ms)

        async def deliver() -> bool:
            """As long as something is due, but not so long that nothing is read meanwhile."""
            rounds = 0
            while rounds < _ROUNDS and not stop.is_set() and await sender.deliver_due():
                rounds += 1
            return rounds > 0

        def take(batch: Batch, changes: list[Change]) -> None:
            inbox.take(batch.partition, batch.next_offset, changes=changes, now_ms=wall_clock_ms())

        reader = _reader(settings, inbox, from_beginning=from_beginning)
        await _read(reader, wanted, take=take, work=deliver, stop=stop, until_idle=until_idle)


def _reader(settings: JourneySettings, inbox: Inbox, *, from_beginning: bool) -> JourneysReader:
    from streams.journeys.reader import JourneysReader

    kafka, topic = settings.need_kafka(), settings.topics.journeys
    return JourneysReader(kafka, topic, offsets=inbox.offsets(), from_beginning=from_beginning)


async def _read(
    reader: JourneysReader,
    wanted: Wanted,
    *,
    take: Callable[[Batch, list[Change]], None],
    work: Callable[[], Awaitable[bool]],
    stop: asyncio.Event,
    until_idle: float | None,
) -> None:
    """Read until asked to stop, or until nothing has come and nothing was to do for so long."""
    busy_at = time.monotonic()
    async with reader:
        while not stop.is_set():
            batches = await reader.read()
            for batch in batches:
                take(batch, [change for value in batch.values if (change := wanted.parse(value)) is not None])
            if await work() or batches:
                busy_at = time.monotonic()
            elif until_idle is not None and time.monotonic() - busy_at > until_idle:
                return


def _show_json(change: Change) -> None:
    emit(change.body.decode("utf-8", "replace"))


def _show_line(change: Change) -> None:
    from streams.report.tables.texts import instant, money, seconds

    record: dict[str, Any] = json.loads(change.body)
    change_text = f"{record['change']} (was {record['was']})" if record["was"] else record["change"]
    parts = [instant(record["at_ms"]), record["funnel"], record["person"], record["stage"], change_text]
    if record["reason"]:
        parts.append(f"reason {record['reason']}")
    if record["value_minor"] is not None:
        parts.append(money(record["value_minor"], record["currency"]))
    parts.append(f"after {seconds(record['age_ms'] / 1000)}")
    parts += [f"{name} {value}" for name, value in record["values"].items() if value != "unknown"]
    say("  ".join(parts))
