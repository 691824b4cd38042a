"""`funnelcast funnels`: check a definition, list the presets, show one. Prints; counts nothing."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from funnelcast.commands.options import JsonFlag
from funnelcast.say import emit, say
from schemas.funnel.explain import explain_unit
from schemas.funnel.load import FunnelError, load_funnel
from schemas.funnel.model import Funnel
from schemas.funnel.presets import preset_names

app = typer.Typer(no_args_is_help=True, help="Check, list and show funnel definitions.")


def _summary(funnel: Funnel) -> dict[str, object]:
    return {
        "name": funnel.name,
        "version": funnel.version,
        "stages": [stage.name for stage in funnel.stages],
        "dimensions": [dimension.name for dimension in funnel.dimensions],
        "unit": funnel.unit,
        "fingerprint": funnel.fingerprint,
        "description": funnel.description,
    }


@app.command(epilog="Example:  funnelcast funnels check shop.yaml")
def check(
    file: Annotated[str, typer.Argument(help="A YAML or JSON file, or the name of a preset.")],
    as_json: JsonFlag = False,
) -> None:
    """Check a definition: exit 0 when it can be used, 2 with what to change when not."""
    try:
        funnel = load_funnel(file)
    except FunnelError as error:
        if as_json:
            emit(json.dumps({"ok": False, "errors": str(error).splitlines()}))
            raise typer.Exit(2) from None
        raise
    if as_json:
        emit(json.dumps({"ok": True, **_summary(funnel)}, ensure_ascii=False))
        return
    stages = " -> ".join(stage.name for stage in funnel.stages)
    say(f"{file}: ok: {funnel.name} version {funnel.version}: {stages}")
    if funnel.unit is not None:
        say(explain_unit(funnel))


@app.command("list", epilog="Example:  funnelcast funnels list --json")
def list_presets(as_json: JsonFlag = False) -> None:
    """List the definitions that ship with funnelcast."""
    funnels = [load_funnel(name) for name in preset_names()]
    if as_json:
        emit(json.dumps([_summary(funnel) for funnel in funnels], ensure_ascii=False))
        return
    from rich.table import Table

    from funnelcast.screen import Screen

    table = Table("preset", "stages", "what for")
    for funnel in funnels:
        table.add_row(funnel.name, " → ".join(stage.name for stage in funnel.stages), funnel.description)
    Screen().print(table)


@app.command(epilog="Example:  funnelcast funnels show sales")
def show(
    name: Annotated[str, typer.Argument(help="The name of a preset, or a file.")],
    as_json: JsonFlag = False,
) -> None:
    """Show a definition as it is understood, defaults filled in."""
    from schemas.funnel.definition import definition_of

    definition = definition_of(load_funnel(name))
    if as_json:
        emit(json.dumps(definition, ensure_ascii=False))
        return
    import yaml

    emit(yaml.safe_dump(definition, sort_keys=False, allow_unicode=True), nl=False)
