"""`funnelcast replay`: count a file from nothing and print the counters document."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import FunnelsOption, JsonFlag, with_settings
from funnelcast.settings.sections import (
    ContactKeySettings,
    FunnelSettings,
    KafkaSettings,
    RedisSettings,
    WatermarkSettings,
)
from funnelcast.signals import run_until_told
from schemas.funnel.load import load_funnels

if TYPE_CHECKING:
    from funnelcast.replay.memory import ReplayJob
    from streams.report.shapes import CountersDocument

app = typer.Typer(help="Count a file from nothing and print the counters document.")


@dataclass(frozen=True, kw_only=True)
class ReplaySettings(WatermarkSettings, ContactKeySettings, FunnelSettings, RedisSettings, KafkaSettings):
    """Kafka and Redis: of the stack; without them embedded ones are started."""


class Through(StrEnum):
    """Which way the events go."""

    memory = "memory"
    stack = "stack"


@app.command(epilog="Example:  funnelcast replay --funnel sales --events events.jsonl --through stack --json")
@with_settings(ReplaySettings)
def replay(
    settings: ReplaySettings,
    events: Annotated[Path, typer.Option(help='JSONL of native events in log order; a line {"tick": MS} moves time.')],
    funnel: FunnelsOption = None,
    through: Annotated[Through, typer.Option(help="The core alone, or every process there is.")] = Through.memory,
    watermark: Annotated[int | None, typer.Option(help="Final watermark, epoch milliseconds.")] = None,
    partitions: Annotated[int, typer.Option(min=1, max=1024, help="Partitions of the log.")] = 1,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes (stack).")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Count a file of events and print the counters.

    Through memory or through the whole stack: the documents are equal byte for byte.
    """
    from funnelcast.replay.memory import ReplayJob

    names = funnel or settings.funnels
    job = ReplayJob(
        funnels=tuple(load_funnels(names)),
        references=tuple(names),
        events=events,
        watermark_ms=watermark,
        partitions=partitions,
        workers=workers,
        watermark_delay_ms=settings.watermark_delay_ms,
        contact_key=settings.contact_key or "replay",
    )
    documents = run_until_told(_replay(settings, job, through=through))
    if as_json:
        from streams.report.document import canonical_json

        sys.stdout.buffer.write(canonical_json(documents[0] if len(documents) == 1 else documents) + b"\n")
        sys.stdout.flush()
        return
    from streams.report.document import whole_only
    from streams.report.table import print_reports

    print_reports(job.funnels, [whole_only(document) for document in documents])


async def _replay(settings: ReplaySettings, job: ReplayJob, *, through: Through) -> list[CountersDocument]:
    from rich.console import Console

    from funnelcast.progress import progress_bar
    from funnelcast.replay.memory import Refusals, replay_through_memory

    refusals = Refusals(job.events)
    with progress_bar(Console(stderr=True), job.events.name) as progress:
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
    return documents
