"""`funnelcast rejected`: look at dead letters, and send them again when what rejected them is fixed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import ClientSettings, KafkaSettings, SpaceSettings, StateSettings
from schemas.text import printable

if TYPE_CHECKING:
    from producers.dead_letters.reader import DeadLetterReader
    from producers.dead_letters.replay import DeadLetterCounts, DeadLetterFilter, StoredDeadLetter
    from producers.dead_letters.resend import Outcome, Resender
    from streams.report.tables.grid import Grid

app = typer.Typer(no_args_is_help=True, help="List, show and replay what the collector rejected.", add_completion=False)
PAYLOAD_CHARS, INTERRUPTED = 70, 130

ReasonOption = Annotated[
    list[str] | None, typer.Option("--reason", help="Only this reason (docs/api.md); repeat for several.")
]
SourceOption = Annotated[str | None, typer.Option(help="Only this source; `unknown`: no valid key came with it.")]
RouteOption = Annotated[str | None, typer.Option(help="Only what came over this path, e.g. /v1/events.")]
SinceOption = Annotated[str | None, typer.Option(help="Received since: 1h (ago), 2025-01-31, RFC 3339, epoch ms.")]
UntilOption = Annotated[str | None, typer.Option(help="Received before this time; same forms.")]


@dataclass(frozen=True, kw_only=True)
class LogSettings(SpaceSettings, KafkaSettings):
    """Where the dead letters of a space are."""


@dataclass(frozen=True, kw_only=True)
class ResendSettings(ClientSettings, StateSettings, LogSettings):
    """Where they go again, and where the progress is kept."""


@app.command("list", epilog="Example:  funnelcast rejected list --source web --since 1h --limit 50")
@with_settings(LogSettings)
def list_dead_letters(
    settings: LogSettings,
    *,
    reason: ReasonOption = None,
    source: SourceOption = None,
    route: RouteOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=0, help="So many of the newest are shown; all are counted.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """The newest dead letters, newest last, and how many there are of each kind."""
    chosen = _filter(reason, source=source, route=route, since=since, until=until)
    newest, counts = asyncio.run(_newest(settings, chosen, limit=limit))
    if as_json:
        rows = [
            {"source": row.source, "reason": row.reason, "route": row.route, "count": row.count}
            for row in counts.rows()
        ]
        emit(json.dumps({"total": counts.total, "kinds": rows, "letters": [_document(stored) for stored in newest]}))
        return
    _show_dead_letters(newest)
    _show_counts(counts)


@app.command(epilog="Example:  funnelcast rejected show 3:1207")
@with_settings(LogSettings)
def show(
    settings: LogSettings,
    *,
    place: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="As `rejected list` names it.")],
    as_json: JsonFlag = False,
) -> None:
    """One dead letter, with all that was sent."""
    partition, _, offset = place.partition(":")
    if not (partition.isdigit() and offset.isdigit()):
        raise typer.BadParameter("write PARTITION:OFFSET, e.g. 3:1207", param_hint="PARTITION:OFFSET")
    dead_letter = asyncio.run(_get(settings, partition=int(partition), offset=int(offset)))
    document = _document(dead_letter)
    if as_json:
        emit(json.dumps(document))
        return
    payload = document.pop("payload", None)
    document["received"] = _when(dead_letter)
    for name, value in document.items():
        say(f"{name}: {value}")
    if payload is not None:
        say(f"\n{payload}")


@app.command(epilog="Example:  funnelcast rejected replay --reason unknown_stage --since 2d --key fch_... --dry-run")
@with_settings(ResendSettings)
def replay(
    settings: ResendSettings,
    *,
    reason: ReasonOption = None,
    source: SourceOption = None,
    route: RouteOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Send at most so many.")] = None,
    as_source: Annotated[
        str | None, typer.Option(help="Source of dead letters whose sender was not known (bad_key).")
    ] = None,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    starts_over: Annotated[bool, typer.Option("--again", help="Start over; copies are recognised by id.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send payloads through the collector again, as their sources and at their times.

    Goes on where the same command was stopped. What is still bad becomes a new dead letter. Those whose sender was not
    verified (bad_key, revoked_key, wrong_origin, bad_signature, stale_delivery, not_allowed) are sent only with
    --reason.
    """
    import httpx

    from producers.dead_letters.resend import Resender, progress_file

    chosen = _filter(reason, source=source, route=route, since=since, until=until)
    asked = [sorted(reason or ()), source, route, since, until, as_source]
    progress = progress_file(settings.state_dir, url=settings.url, space=settings.space, chosen=asked)
    resender = Resender(
        settings.url,
        settings.write_key(),
        httpx.AsyncClient(),
        chosen,
        progress,
        as_source=as_source,
        limit=limit,
        is_dry=is_dry,
    )
    try:
        outcome = asyncio.run(_replay(settings, resender, starts_over=starts_over or is_dry))
    except KeyboardInterrupt:
        say(f"stopped after {resender.outcome.sent} dead letters; the same command goes on from there", err=True)
        sys.exit(INTERRUPTED)
    _show_outcome(outcome, as_json=as_json, is_dry=is_dry)


def _filter(
    reasons: list[str] | None, *, source: str | None, route: str | None, since: str | None, until: str | None
) -> DeadLetterFilter:
    from producers.dead_letters.replay import DeadLetterFilter
    from schemas.reasons import RejectReason

    known = [reason.value for reason in RejectReason]
    for reason in reasons or ():
        if reason not in known:
            raise typer.BadParameter(f"{reason!r} is no reason; reasons are {', '.join(known)}", param_hint="--reason")
    return DeadLetterFilter(
        frozenset(reasons or ()), source, route, _instant(since, "--since"), _instant(until, "--until")
    )


def _instant(text: str | None, hint: str) -> int | None:
    from streams.report.document.question import QuestionError, parse_instant_ms

    if text is None:
        return None
    try:
        return parse_instant_ms(text, timezone="UTC", now_ms=wall_clock_ms())
    except QuestionError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from None


async def _newest(
    settings: LogSettings, chosen: DeadLetterFilter, *, limit: int
) -> tuple[list[StoredDeadLetter], DeadLetterCounts]:
    import heapq

    from producers.dead_letters.replay import DeadLetterCounts

    heap: list[tuple[int, int, int, StoredDeadLetter]] = []
    counts = DeadLetterCounts()
    async with _log(settings) as log:
        async for dead_letters in log.read():
            for stored in dead_letters:
                if not chosen.matches(stored.dead_letter):
                    continue
                counts.add(stored.dead_letter)
                heapq.heappush(heap, (stored.dead_letter.received_at_ms, stored.offset, stored.partition, stored))
                if len(heap) > limit:
                    heapq.heappop(heap)
    return [stored for *_, stored in sorted(heap, key=lambda item: item[:3])], counts


async def _get(settings: LogSettings, *, partition: int, offset: int) -> StoredDeadLetter:
    async with _log(settings) as log:
        return await log.get(partition, offset)


async def _replay(settings: LogSettings, resender: Resender, *, starts_over: bool) -> Outcome:
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from funnelcast.screen import Screen

    console = Screen(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading dead letters")
        resender.on_progress = lambda outcome: bar.update(task, description=f"{outcome.sent} dead letters sent")
        resender.on_wait = lambda why: bar.update(task, description=f"waiting: {why[:60]}")
        async with resender.client, _log(settings) as log:
            return await resender.run(log, starts_over=starts_over)


def _log(settings: LogSettings) -> DeadLetterReader:
    from producers.dead_letters.reader import DeadLetterReader

    return DeadLetterReader(settings.need_kafka(), settings.topics.rejected)


# What is shown


def _document(stored: StoredDeadLetter) -> dict[str, Any]:
    import msgspec

    members: dict[str, Any] = msgspec.to_builtins(stored.dead_letter)
    return {"partition": stored.partition, "offset": stored.offset} | members


def _when(stored: StoredDeadLetter) -> str:
    return datetime.fromtimestamp(stored.dead_letter.received_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _show_dead_letters(dead_letters: Sequence[StoredDeadLetter]) -> None:
    if not dead_letters:
        return
    table = _table("when (UTC)", "place", "source", "reason", "route", "~detail", "~payload")
    for stored in dead_letters:
        dead_letter = stored.dead_letter
        payload = dead_letter.sent()[: PAYLOAD_CHARS * 4].decode(errors="replace")
        shown = " ".join(payload.split())[:PAYLOAD_CHARS]
        table.add_row(
            _when(stored),
            stored.place,
            *map(printable, (dead_letter.source, dead_letter.reason, dead_letter.route, dead_letter.detail, shown)),
        )
    _print(table)


def _show_counts(counts: DeadLetterCounts) -> None:
    if not counts.total:
        say("no dead letters")
        return
    table = _table("source", "reason", "route", ">dead letters")
    for row in counts.rows():
        table.add_row(row.source, row.reason, row.route, str(row.count))
    table.add_row("", "", "all", str(counts.total))
    _print(table)


def _counted(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count} dead letters"


def _table(*headings: str) -> Grid:
    from streams.report.tables.grid import Grid

    return Grid(*headings)


def _print(table: Any) -> None:
    from funnelcast.screen import Screen

    Screen().print(table)


def _show_outcome(outcome: Outcome, *, as_json: bool, is_dry: bool) -> None:
    if as_json:
        emit(json.dumps(outcome.as_document() | {"dry_run": is_dry}))
        return
    if is_dry:
        say(f"{_counted(outcome.sent)} would be sent")
    else:
        known = f", {outcome.deduplicated} known" if outcome.deduplicated else ""
        say(f"{_counted(outcome.sent)} sent, {outcome.accepted} accepted{known}")
    for reason, count in outcome.rejected.most_common():
        say(f"  {count} rejected again: {reason}")
    for why, count in outcome.skipped.most_common():
        say(f"  {count} not sent: {why}")
