"""`funnelcast config`: the settings in effect and where each comes from. Prints; starts nothing, asks no server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from funnelcast.commands.options import ConfigOption, JsonFlag
from funnelcast.say import emit
from funnelcast.settings import SettingsError
from funnelcast.settings.load import load_settings
from funnelcast.settings.processes import ALL

if TYPE_CHECKING:
    from funnelcast.settings.show import Row

app = typer.Typer(add_completion=False)


@app.command(epilog="Examples:  funnelcast config  ·  funnelcast config collector --config /etc/funnelcast.toml --json")
def config(
    *,
    process: Annotated[
        str | None, typer.Argument(help="Only what this process reads, e.g. collector; default: everything.")
    ] = None,
    config_file: ConfigOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Print the settings as processes that are started here would have them, but for their flags. Secrets are masked.

    Exit 2 when a setting is wrong.
    """
    from funnelcast.settings.show import rows

    kinds = [kind for kind in ALL if process in (None, kind.process)]
    if not kinds:
        known = ", ".join(kind.process for kind in ALL if kind.process)
        raise SettingsError(f"{process}: there is no such process; write one of {known}")
    shown = {row.key: row for kind in kinds for row in rows(load_settings(kind, file=config_file))}
    ordered = sorted(shown.values(), key=lambda row: "." in row.key)
    if as_json:
        emit(json.dumps({row.key: {"value": row.value, "source": row.source} for row in ordered}))
    else:
        _print(ordered)


def _print(shown: list[Row]) -> None:
    from funnelcast.screen import Screen
    from streams.report.tables.grid import Grid

    table = Grid("setting", "~value", "~source")
    for row in shown:
        table.add_row(row.key, _text(row.value), row.source)
    Screen().print(table)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return ",".join(value) if isinstance(value, list) else value if isinstance(value, str) else json.dumps(value)
