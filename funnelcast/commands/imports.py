"""`funnelcast import`: other people's files by an import file: look first (`--dry-run`), then send. Composes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import JsonFlag, TolerateOption, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import ClientSettings, FunnelSettings, RedisSettings, SpaceSettings, StateSettings

if TYPE_CHECKING:
    from producers.importer.preparation import Preparation

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class ImportSettings(ClientSettings, FunnelSettings, SpaceSettings, RedisSettings, StateSettings):
    """Where events go, what funnels look at, where progress is kept. Redis, where it is set, is asked how far the space
    has counted."""


@app.command(
    epilog="Examples:  funnelcast import --suggest orders.csv > orders.yaml  ·  "
    "funnelcast import orders.yaml --dry-run  ·  "
    "funnelcast replay --import orders.yaml --funnel shop.yaml  ·  "
    "funnelcast import orders.yaml --url http://127.0.0.1:8080 --key fch_..."
)
@with_settings(ImportSettings)
def import_(
    settings: ImportSettings,
    *,
    file: Annotated[Path, typer.Argument(help="The import file (YAML, docs/import.md); with --suggest a table.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, print what would be sent.")] = False,
    suggest: Annotated[bool, typer.Option("--suggest", help="Print a first import file for a table.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Send as live events, with a server key: what is older than days is late.")
    ] = False,
    tolerate: TolerateOption = None,
    patience: Annotated[float, typer.Option(help="Seconds to try one batch again before exit 75.")] = 600.0,
    again: Annotated[bool, typer.Option("--again", help="Send from the start although it was sent before.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Import files in any shape: rows become events, merged by time over all inputs, and go through the collector.

    As history by default: with a key of the scope historical, into a space that has not seen later times. Every row is
    counted once: taken, refused (with its line and the reason), or without an event. Exit 0: no row was refused; 1:
    some were; 2: none was taken, or the file or the command is wrong.
    """
    if suggest:
        from producers.importer.suggest import suggested

        emit(suggested(file), nl=False)
        return
    from funnelcast.importing import Refusals, finish, prepared
    from producers.importer.load import load_import

    definition = load_import(file)
    refusals = Refusals(str(file))
    preparation = prepared(
        definition,
        file.parent,
        tolerated=tolerate or [],
        funnels=settings.funnels,
        is_historical=not live,
        refusals=refusals,
        with_overview=dry_run,
    )
    if not live and settings.redis is not None:
        preparation.late = refusals.late = _late(settings, preparation)
        if refusals.late and not dry_run:
            raise typer.Exit(2)
    finish(
        settings,
        preparation,
        refusals=refusals,
        name=str(file),
        patience=patience,
        again=again,
        dry_run=dry_run,
        as_json=as_json,
    )


def _late(settings: ImportSettings, preparation: Preparation) -> int:
    """How many events the space would no longer count; said on stderr."""
    from funnelcast.space_times import asked_horizon_ms, late_text
    from producers.importer.problems import Kind

    horizon = asked_horizon_ms(settings)
    late = 0 if horizon is None else preparation.count_before(horizon)
    if not late or horizon is None:
        return 0
    say(late_text(late, preparation.count, horizon=horizon, space=settings.space), err=True)
    return 0 if Kind.LATE in preparation.tolerated else late
