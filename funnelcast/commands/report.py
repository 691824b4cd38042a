"""`funnelcast report`: the live counters with their rates, as a table or as the counters document."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.settings.sections import FunnelSettings, RedisSettings, SpaceSettings
from schemas.funnel.load import load_funnel, load_funnels
from schemas.funnel.model import Funnel

if TYPE_CHECKING:
    from streams.report.question import ReportQuestion
    from streams.report.shapes import CountersDocument

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class ReportSettings(FunnelSettings, SpaceSettings, RedisSettings):
    """Which space is read, and what its cells mean."""


@app.command(
    epilog="Examples:  funnelcast report  ·  funnelcast report --grain week --since 2025-01-01  ·  "
    "funnelcast report --grain day --since 7d --dim channel --json"
)
@with_settings(ReportSettings)
def report(
    settings: ReportSettings,
    funnel: Annotated[
        list[str] | None, typer.Option(help="A preset, a file, or the name of a configured funnel; repeat for several.")
    ] = None,
    grain: Annotated[str | None, typer.Option(help="Only total, minute, hour, day, week, month or quarter.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From the bucket of this time: 2025-01-31, RFC 3339, 24h (ago), epoch ms.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="To the bucket before this time; same forms.")] = None,
    dim: Annotated[
        str | None,
        typer.Option(help="A dimension (channel), a pair (channel|manager), a cell (channel=google), or ''."),
    ] = None,
    as_csv: Annotated[
        str | None, typer.Option("--csv", metavar="counters|rates", help="Print CSV, a line for each number.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print what is counted now. Without --json: totals, or the sum of the buckets asked for."""
    from streams.report.long_form import LONG_FORMS
    from streams.report.question import QuestionError, ReportQuestion

    if as_csv is not None and (as_csv not in LONG_FORMS or as_json):
        raise QuestionError(f"--csv takes {' or '.join(LONG_FORMS)}, and not together with --json")
    chosen = _chosen(settings, funnel)
    now_ms = time.time_ns() // 1_000_000
    questions = [
        ReportQuestion.parse(definition, {"grain": grain, "since": since, "until": until, "dim": dim}, now_ms=now_ms)
        for definition in chosen
    ]
    documents = asyncio.run(_read(settings, questions))
    from streams.report.document import answer_json, whole_only

    if as_json or as_csv is not None:
        body = answer_json(documents) + b"\n" if as_csv is None else LONG_FORMS[as_csv](documents)
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
        return
    from streams.report.table import print_reports

    print_reports(chosen, [whole_only(document) for document in documents] if dim is None else documents)


def _chosen(settings: ReportSettings, references: list[str] | None) -> list[Funnel]:
    """Configured funnels by name, else what the references load."""
    if not references:
        return load_funnels(settings.funnels)
    configured = {funnel.name: funnel for funnel in load_funnels(settings.funnels)}
    return [configured[name] if name in configured else load_funnel(name) for name in references]


async def _read(settings: ReportSettings, questions: list[ReportQuestion]) -> list[CountersDocument]:
    from streams.report.service import report as read_report
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    client = connect(settings.need_redis())
    try:
        reader = RedisCounterReader(client, settings.space)
        return [await read_report(reader, question) for question in questions]
    finally:
        await close(client)
