"""`funnelcast report`: the live counters with their rates, as a table or as the counters document."""

from __future__ import annotations

import asyncio
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from funnelcast.settings import Settings, SettingsError, load_settings
from schemas.counters import Grain
from schemas.funnel.load import load_funnel, load_funnels
from schemas.funnel.model import Funnel

if TYPE_CHECKING:
    from streams.report.service import ReportPart

app = typer.Typer(add_completion=False)


class GrainName(StrEnum):
    """Grains by name."""

    total = "total"
    minute = "minute"
    hour = "hour"
    day = "day"


@app.command(epilog="Examples:  funnelcast report  ·  funnelcast report --grain day --since 7d --dim channel --json")
def report(
    funnel: Annotated[
        list[str] | None, typer.Option(help="A preset, a file, or the name of a configured funnel; repeat for several.")
    ] = None,
    grain: Annotated[GrainName | None, typer.Option(help="Only this grain.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From the bucket of this time: 2025-01-31, RFC 3339, 24h (ago), epoch ms.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="To the bucket before this time; same forms.")] = None,
    dim: Annotated[
        str | None,
        typer.Option(help="A dimension (channel), a pair (channel|manager), a cell (channel=google), or ''."),
    ] = None,
    redis: Annotated[str | None, typer.Option(help="URL of Redis or Valkey.")] = None,
    space: Annotated[str | None, typer.Option(help="Prefix of topics and Redis keys.")] = None,
    funnels: Annotated[str | None, typer.Option(help="Preset names or files, separated by commas.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, and nothing else, on stdout.")
    ] = False,
) -> None:
    """Print what is counted now. Without --json: totals, or the sum of the buckets asked for."""
    from streams.report.service import ReportError

    settings = load_settings(redis=redis, space=space, funnels=funnels)
    chosen = _chosen(settings, funnel)
    try:
        documents = asyncio.run(_read(settings, chosen, (grain, since, until, dim)))
    except ReportError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        from streams.report.document import canonical_json

        sys.stdout.buffer.write(canonical_json(documents[0] if len(documents) == 1 else documents) + b"\n")
        sys.stdout.flush()
        return
    _show(chosen, documents, shows_dimensions=dim is not None)


def _chosen(settings: Settings, references: list[str] | None) -> list[Funnel]:
    """Configured funnels by name, else what the references load."""
    if not references:
        return load_funnels(settings.funnel_references)
    configured = {one.name: one for one in load_funnels(settings.funnel_references)}
    return [configured[one] if one in configured else load_funnel(one) for one in references]


async def _read(
    settings: Settings,
    funnels: list[Funnel],
    asked: tuple[GrainName | None, str | None, str | None, str | None],
) -> list[dict[str, Any]]:
    from streams.report.service import report as read_report
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    client = connect(settings.need_redis())
    try:
        reader = RedisCounterReader(client, settings.space)
        return [await read_report(reader, funnel, _part(funnel, *asked)) for funnel in funnels]
    finally:
        await close(client)


def _part(funnel: Funnel, grain: GrainName | None, since: str | None, until: str | None, dim: str | None) -> ReportPart:
    from streams.report.service import ReportPart, parse_instant_ms

    now_ms = time.time_ns() // 1_000_000
    times = [
        None if text is None else parse_instant_ms(text, timezone=funnel.timezone, now_ms=now_ms)
        for text in (since, until)
    ]
    if times[0] is not None and times[1] is not None and times[0] >= times[1]:
        raise SettingsError("--since must lie before --until")
    return ReportPart(
        grain=None if grain is None else Grain[grain.value.upper()], since_ms=times[0], until_ms=times[1], dim=dim
    )


def _show(funnels: list[Funnel], documents: list[dict[str, Any]], *, shows_dimensions: bool) -> None:
    from rich.console import Console

    from streams.report.table import WIDE, render_report

    console = Console()
    if not console.is_terminal:
        console.width = WIDE  # nobody sees where a line is cut
    for funnel, document in zip(funnels, documents, strict=True):
        shown = document if shows_dimensions else _whole(document)
        console.print(render_report(funnel, shown, width=console.width))


def _whole(document: dict[str, Any]) -> dict[str, Any]:
    """Without dimension values: they have tables of their own when asked for."""
    counters = {
        grain: {bucket: {"": cells[""]} for bucket, cells in buckets.items() if "" in cells}
        for grain, buckets in document["counters"].items()
    }
    return {**document, "counters": {grain: buckets for grain, buckets in counters.items() if buckets}}
