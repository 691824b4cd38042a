"""`funnelcast archive`: the events topic as Parquet files by day, exactly once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import KafkaSettings, SpaceSettings
from funnelcast.signals import run_until_told

app = typer.Typer(help="Keep the events in Parquet files.", add_completion=False)


@dataclass(frozen=True, kw_only=True)
class ArchiveSettings(SpaceSettings, KafkaSettings):
    """Which log."""


@app.command(
    epilog="Examples:  funnelcast archive /var/lib/funnelcast/archive  ·  funnelcast archive /data/archive --follow"
    "  ·  funnelcast archive s3://events/shop --follow"
)
@with_settings(ArchiveSettings)
def archive(
    settings: ArchiveSettings,
    *,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|URL", help="Where the files are (s3://bucket/folder too); made where it is missing."
        ),
    ],
    follow: Annotated[bool, typer.Option("--follow", help="Go on as events come, until Ctrl-C.")] = False,
    flush_rows: Annotated[int, typer.Option(min=1, help="Records of one write ...")] = 50_000,
    flush_seconds: Annotated[float, typer.Option(min=0.1, help="... or what has come in this time.")] = 30.0,
    as_json: JsonFlag = False,
) -> None:
    """Write every record of the log into Parquet files, a folder for each day. Goes on where the files end.

    Killed at any moment it leaves no record twice and none out. Who is forgotten is erased from the files too. DuckDB,
    polars and Spark read them as they are.
    """
    working = _archive(
        settings, folder, follow=follow, quiet=as_json, flush_rows=flush_rows, flush_seconds=flush_seconds
    )
    name, written, erased = run_until_told(working)
    if as_json:
        emit(json.dumps({"folder": name, "written": written, "erased": erased}))
    else:
        say(f"{name}: {written:,} records written")


async def _archive(
    settings: ArchiveSettings, path: Path, *, follow: bool, quiet: bool, flush_rows: int, flush_seconds: float
) -> tuple[str, int, int]:
    from streams.archive.files import ArchiveFolder
    from streams.archive.writer import ArchiveWriter
    from streams.transport.log_reader import LogReader

    folder = ArchiveFolder(path)
    with folder.writing():
        async with LogReader(settings.need_kafka(), settings.topics.events) as log:
            writer = ArchiveWriter(
                folder,
                log,
                progress=lambda rows: _say_rows(rows, quiet=quiet),
                flush_rows=flush_rows,
                flush_seconds=flush_seconds,
            )
            await writer.run(follow=follow)
    return folder.name, writer.written, writer.erased


def _say_rows(rows: int, *, quiet: bool) -> None:
    if rows and not quiet:
        say(f"{rows:,} records", err=True)
