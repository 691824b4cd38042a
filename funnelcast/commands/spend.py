"""`funnelcast spend import`: what was spent on advertising, from a table, through the collector. Composes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from funnelcast.commands.options import JsonFlag, TolerateOption, with_settings
from funnelcast.settings.sections import ClientSettings, FunnelSettings, StateSettings

app = typer.Typer(no_args_is_help=True, help="Advertising spend, for cost per lead and return on a channel.")


@app.callback()
def _group() -> None:
    """Keeps `import` a subcommand."""


@dataclass(frozen=True, kw_only=True)
class SpendSettings(ClientSettings, FunnelSettings, StateSettings):
    """Where statements go, and where the progress of imports is kept."""


@app.command(
    "import",
    epilog="Examples:  funnelcast spend import google-ads.csv --set channel=google,currency=EUR --dry-run  ·  "
    "funnelcast spend import meta.xlsx --map day='Reporting starts',value='Amount spent (EUR)' --set channel=facebook"
    " --sum --url http://127.0.0.1:8080 --key fcs_...",
)
@with_settings(SpendSettings)
def import_(
    settings: SpendSettings,
    *,
    file: Annotated[Path, typer.Argument(help="CSV, .xlsx, JSON or Parquet; gzip and zip are fine.")],
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help="day=COLUMN,value=COLUMN,...; what is not found by its heading, and dimensions."),
    ] = None,
    constants: Annotated[
        list[str] | None, typer.Option("--set", help="channel=TEXT,currency=TEXT,...: the same in every row.")
    ] = None,
    sum_up: Annotated[
        bool, typer.Option("--sum", help="Add up rows of one day, channel, campaign, ... (a row an ad).")
    ] = False,
    heading: Annotated[int, typer.Option(min=1, help="Line of the heading.")] = 1,
    delimiter: Annotated[str | None, typer.Option(help="Between cells; default: found.")] = None,
    encoding: Annotated[str | None, typer.Option(help="E.g. cp1251; default: found.")] = None,
    decimal: Annotated[str, typer.Option(help="Decimal mark: . or ,")] = ".",
    thousands: Annotated[str, typer.Option(help="Thousands mark, if any.")] = "",
    order: Annotated[str | None, typer.Option(help="Of days such as 01/02/2025: dmy or mdy.")] = None,
    historical: Annotated[
        bool, typer.Option("--historical", help="Into a space of history, with its key: received on the day itself.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, print what would be sent.")] = False,
    tolerate: TolerateOption = None,
    patience: Annotated[float, typer.Option(help="Seconds to try one batch again before exit 75.")] = 600.0,
    again: Annotated[bool, typer.Option("--again", help="Send from the start although it was sent before.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Import what was spent: a row is a statement of a day, channel, campaign and currency, and any other dimension.

    A statement that is sent again replaces the earlier one: correct the file and send it again. Two rows of one
    statement in one file are refused, or added up with --sum. Exit 0: every row was taken; 1: some were not; 2: none.
    """
    from funnelcast.importing import Refusals, finish, headings_of, prepared
    from producers.importer.mapping import Mapping
    from producers.importer.spend import SpendTable, spend_definition

    mapping = Mapping.parse(columns or [], constants or [])
    given: dict[str, Any] = {
        "heading": heading,
        "delimiter": delimiter,
        "encoding": encoding,
        "decimal": decimal,
        "thousands": thousands,
    }
    table = SpendTable(
        file.name, dict(mapping.columns), dict(mapping.constants), layout=given, order=order, is_summed=sum_up
    )
    refusals = Refusals(str(file))
    preparation = prepared(
        spend_definition(table, headings_of(file, given)),
        file.parent,
        tolerated=tolerate or [],
        funnels=settings.funnels,
        is_historical=historical,
        refusals=refusals,
        with_overview=dry_run,
    )
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
