"""`funnelcast import`: other people's files by an import file: look first (`--dry-run`), then send. Composes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from funnelcast.commands.options import JsonFlag, TolerateOption, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import ClientSettings, FunnelSettings, StateSettings

if TYPE_CHECKING:
    from funnelcast.importing import Refusals
    from producers.importer.preparation import Preparation

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class ImportSettings(ClientSettings, FunnelSettings, StateSettings):
    """Where events go, what funnels look at, and where the progress of imports is kept."""


@app.command(
    epilog="Examples:  funnelcast import orders.yaml --dry-run  ·  "
    "funnelcast replay --import orders.yaml --funnel shop.yaml  ·  "
    "funnelcast import orders.yaml --url http://127.0.0.1:8080 --key fch_..."
)
@with_settings(ImportSettings)
def import_(
    settings: ImportSettings,
    file: Annotated[Path, typer.Argument(help="The import file (YAML, docs/import.md).")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, print what would be sent.")] = False,
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
    from funnelcast.importing import Refusals, exit_code, prepared, say_rows

    refusals = Refusals(str(file))
    preparation = prepared(
        file,
        tolerate or [],
        named_funnels=settings.funnels,
        is_historical=not live,
        refusals=refusals,
        with_overview=dry_run,
    )
    document = _overview(preparation, refusals) if dry_run else _send(settings, preparation, refusals, patience, again)
    refusals.sum_up()
    if as_json:
        emit(json.dumps(document, ensure_ascii=False, default=str))
    elif dry_run:
        from funnelcast.import_table import print_overview

        print_overview(document)
    say_rows(str(file), preparation, "would be sent" if dry_run else "sent")
    rows = preparation.rows
    raise typer.Exit(exit_code(taken=rows.taken, refused=rows.refused + refusals.late))


def _rows(preparation: Preparation, refusals: Refusals) -> dict[str, Any]:
    rows = preparation.rows
    return {
        "rows": {
            "read": rows.read,
            "taken": rows.taken,
            "refused": rows.refused,
            "without_event": rows.without_event,
        },
        "refused_by_reason": dict(sorted(refusals.by_reason.items())),
        "refused_lines": [each._asdict() for each in refusals.first],
        "notes": preparation.notes,
    }


def _overview(preparation: Preparation, refusals: Refusals) -> dict[str, Any]:
    from producers.importer.overview import Overview

    assert isinstance(preparation.watcher, Overview)  # noqa: S101 - asked for above
    return {**_rows(preparation, refusals), **preparation.watcher.document()}


def _send(
    settings: ImportSettings, preparation: Preparation, refusals: Refusals, patience: float, again: bool
) -> dict[str, Any]:
    import httpx

    from funnelcast.importing import run_importer
    from producers.importer.importer import Importer, Target
    from producers.importer.problems import Kind
    from producers.importer.strict import LATE_HINT

    importer = Importer(
        preparation,
        Target(settings.url, settings.key, patience),
        settings.state_dir,
        httpx.AsyncClient(),
        on_refused=preparation.refused_by_collector,
    )
    if again:
        importer.start_over()
    was_sent = importer.progress.is_done
    progress = run_importer(importer, total=lambda: preparation.count)
    if was_sent:
        say("was sent before, nothing is sent now; --again sends it again", err=True)
    if progress.late and Kind.LATE not in preparation.tolerated:
        refusals.late = progress.late
        say(f"{progress.late} events were accepted too late for every funnel: {LATE_HINT}", err=True)
    sent: dict[str, Any] = {"accepted": progress.accepted, "rejected": progress.rejected, "late": progress.late}
    sent["session"] = progress.session
    return {**_rows(preparation, refusals), "events": sent, "already_sent": was_sent}
