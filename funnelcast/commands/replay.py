"""`funnelcast replay`: count a file from nothing and print the counters document."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import FunnelsOption, JsonFlag, TolerateOption, with_settings
from funnelcast.settings.sections import (
    ChannelSettings,
    ContactKeySettings,
    FunnelSettings,
    KafkaSettings,
    RedisSettings,
    WatermarkSettings,
)
from funnelcast.signals import run_until_told
from schemas.errors import UsageError
from schemas.funnel.load import load_funnels

if TYPE_CHECKING:
    from funnelcast.replay.memory import ReplayJob
    from streams.report.document.shapes import CountersDocument

EXIT_NONE_TAKEN = 2
app = typer.Typer(help="Count a file from nothing and print the counters document.")


@dataclass(frozen=True, kw_only=True)
class ReplaySettings(
    WatermarkSettings, ChannelSettings, ContactKeySettings, FunnelSettings, RedisSettings, KafkaSettings
):
    """Kafka and Redis: of the stack; without them embedded ones are started."""

    joins_running = False


class Through(StrEnum):
    """Which way the events go."""

    memory = "memory"
    stack = "stack"


@app.command(
    epilog="Examples:  funnelcast replay --funnel sales --events events.jsonl --through stack --json  ·  "
    "funnelcast replay --funnel shop.yaml --events /data/archive"
)
@with_settings(ReplaySettings)
def replay(
    settings: ReplaySettings,
    *,
    events: Annotated[
        Path | None,
        typer.Option(
            help='Native events in log order, a line {"tick": MS} moves time; or the folder or URL of an archive.'
        ),
    ] = None,
    import_file: Annotated[
        Path | None, typer.Option("--import", metavar="FILE.yaml", help="Other people's files, by an import file.")
    ] = None,
    tolerate: TolerateOption = None,
    funnel: FunnelsOption = None,
    through: Annotated[Through, typer.Option(help="The core alone, or every process there is.")] = Through.memory,
    watermark: Annotated[int | None, typer.Option(help="Final watermark, epoch milliseconds.")] = None,
    partitions: Annotated[int, typer.Option(min=1, max=1024, help="Partitions of the log.")] = 1,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes (stack).")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Count a file of events and print the counters.

    Through memory or through the whole stack: the documents are equal byte for byte. Exit 2 where no line was taken.
    With --import, exit 0 only if every row was taken, and 1 when some were refused.
    """
    if (events is None) == (import_file is None):
        raise UsageError("say what is counted: --events FILE, or --import FILE.yaml")
    names = funnel or settings.of_a_file()
    with tempfile.TemporaryDirectory(prefix="funnelcast-") as directory:
        code = 0
        if import_file is not None:
            events, code = _imported(
                import_file, names=names, tolerated=tolerate or [], path=Path(directory) / import_file.name
            )
        assert events is not None  # noqa: S101 - one of both
        job = _job(settings, names, events=events, watermark=watermark, partitions=partitions, workers=workers)
        is_any_taken = _count(settings, job, through=through, as_json=as_json)
        code = code if is_any_taken else EXIT_NONE_TAKEN
    raise typer.Exit(code)


def _imported(file: Path, *, names: Sequence[str], tolerated: Sequence[str], path: Path) -> tuple[Path, int]:
    """(native events of an import file in order of time, exit code)."""
    from funnelcast.importing import Refusals, exit_code, prepared, say_rows
    from producers.importer.load import load_import

    refusals = Refusals(str(file))
    preparation = prepared(
        load_import(file),
        file.parent,
        tolerated=tolerated,
        funnels=names,
        is_historical=True,
        refusals=refusals,
        with_overview=False,
    )
    with path.open("wb") as log:
        log.writelines(event + b"\n" for _, event in preparation.events())
    refusals.sum_up()
    say_rows(str(file), preparation, done="counted")
    return path, exit_code(taken=preparation.rows.taken, refused=preparation.rows.refused)


def _job(
    settings: ReplaySettings,
    names: Sequence[str],
    *,
    events: Path,
    watermark: int | None,
    partitions: int,
    workers: int,
) -> ReplayJob:
    from funnelcast.replay.memory import ReplayJob

    return ReplayJob(
        funnels=tuple(load_funnels(names)),
        references=tuple(names),
        events=events,
        watermark_ms=watermark,
        partitions=partitions,
        workers=workers,
        watermark_delay_ms=settings.watermark_delay_ms,
        contact_key=settings.contact_key or "replay",
        channels=settings.channels,
    )


def _count(settings: ReplaySettings, job: ReplayJob, *, through: Through, as_json: bool) -> bool:
    """Prints what was counted; whether any line was taken."""
    job = replace(job, as_written=not as_json)
    documents, is_any_taken = run_until_told(_replay(settings, job, through=through))
    if as_json:
        from streams.report.document.counters import canonical_json

        sys.stdout.buffer.write(canonical_json(documents[0] if len(documents) == 1 else documents) + b"\n")
        sys.stdout.flush()
        return is_any_taken
    from funnelcast.screen import print_reports

    print_reports(job.funnels, documents)
    return is_any_taken


async def _replay(settings: ReplaySettings, job: ReplayJob, *, through: Through) -> tuple[list[CountersDocument], bool]:
    from funnelcast.progress import progress_bar
    from funnelcast.replay.memory import Refusals, read_lines, replay_through_memory

    refusals = Refusals(job.events)
    with progress_bar(job.events.name) as progress:
        if through is Through.memory:
            documents = await replay_through_memory(job, refusals, progress=progress)
        else:
            from funnelcast.replay.stack import replay_through_stack

            documents = await replay_through_stack(
                job,
                refusals,
                state_dir=settings.state_dir,
                kafka=settings.need_kafka() if settings.kafka else None,
                redis=settings.need_redis() if settings.redis else None,
                progress=progress,
            )
    refusals.sum_up()
    refused = refusals.by_reason.total()
    return documents, not refused or refused < sum(1 for _ in read_lines(job.events))
