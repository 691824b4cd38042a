"""`funnelcast funnels`: check a definition, list the presets, show one. Prints; counts nothing."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

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
    """Check a definition: exit 0 when it can be used, 2 with what to change when not.

    What can be loaded and cannot work is refused as well: a stage nobody can enter, a deadline after the window.
    """
    from schemas.funnel.lint import problems

    try:
        funnel = load_funnel(file)
        if faults := problems(funnel):
            raise FunnelError("\n".join(f"{file}: {problem}" for problem in faults))
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


@app.command("try", epilog="Example:  funnelcast funnels try shop.yaml --events events.jsonl")
def try_on(
    *,
    file: Annotated[str, typer.Argument(help="A YAML or JSON file, or the name of a preset.")],
    events: Annotated[Path, typer.Option(help="Native events, one a line.")],
    as_json: JsonFlag = False,
) -> None:
    """Say which events of a file each stage takes, and why it does not take the others."""
    from funnelcast.progress import progress_bar
    from funnelcast.trial import Trial

    trial = Trial(load_funnel(file))
    with progress_bar(events.name) as progress:
        trial.read(events, progress)
    if as_json:
        emit(json.dumps(trial.document(), ensure_ascii=False))
        return
    _print_trial(trial.document())


def _print_trial(document: dict[str, Any]) -> None:
    from funnelcast.screen import Screen
    from streams.report.tables.grid import Grid

    screen = Screen()
    rejected = sum(document["rejected"].values())
    say(f"{document['funnel']} version {document['version']}: {document['events']:,} events, {rejected:,} rejected")
    table = Grid("stage", ">events", "e.g. line")
    for stage in document["stages"]:
        lines = ", ".join(str(example["line"]) for example in stage["examples"])
        table.add_row(stage["name"], f"{stage['events']:,}", lines or "no event fits")
    for name in ("lost", "refunds", "order_changes", "scored"):
        if document[name]:
            table.add_row(name.replace("_", " "), f"{document[name]:,}", "")
    screen.print(table)
    if document["conditions_failed"]:
        table = Grid("event", "not taken by", "~because not", ">events", "~e.g. value")
        for failed in document["conditions_failed"]:
            value = failed["examples"][0]["value"]
            shown = "absent" if value is None else str(value)
            table.add_row(failed["event"], failed["stage"], failed["condition"], f"{failed['events']:,}", shown)
        screen.print(table)
    for reason, number in document["left_out"].items():
        screen.print(f"left out: {number:,} events of {reason}")
    if document["names_without_rule"]:
        table = Grid("name without a rule", ">events", "did you mean")
        for name in document["names_without_rule"]:
            table.add_row(name["name"], f"{name['events']:,}", name["did_you_mean"] or "")
        screen.print(table)


@app.command("list", epilog="Example:  funnelcast funnels list --json")
def list_presets(as_json: JsonFlag = False) -> None:
    """List the definitions that ship with funnelcast."""
    funnels = [load_funnel(name) for name in preset_names()]
    if as_json:
        emit(json.dumps([_summary(funnel) for funnel in funnels], ensure_ascii=False))
        return
    from funnelcast.screen import Screen
    from streams.report.tables.grid import Grid

    table = Grid("preset", "~stages", "~what for")
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


@app.command(epilog="Example:  funnelcast funnels diff shop.yaml shop-2.yaml")
def diff(
    *,
    before: Annotated[str, typer.Argument(help="A file, or the name of a preset.")],
    after: Annotated[str, typer.Argument(help="The one that is to come.")],
    as_json: JsonFlag = False,
) -> None:
    """Say what differs between two definitions, what it does to the numbers, and whether it needs a version of its own.

    Exit 0 when both count the same, 1 when they do not.
    """
    from schemas.funnel.diff import changes, changes_numbers
    from schemas.funnel.effects import effect_of

    old, new = load_funnel(before), load_funnel(after)
    differences = changes(old, new)
    counts_same = not any(changes_numbers(change) for change in differences)
    needs_version = not counts_same and old.funnel_id == new.funnel_id
    if as_json:
        rows = [{"path": c.path, "before": c.before, "after": c.after, "effect": effect_of(c)} for c in differences]
        emit(json.dumps({"counts_same": counts_same, "needs_version": needs_version, "changes": rows}))
    else:
        for change in differences:
            emit(f"{change.path}: {_written(change.before)} -> {_written(change.after)}")
            if effect := effect_of(change):
                emit(f"    {effect}")
        if counts_same:
            emit("both count the same")
        elif needs_version:
            emit(f"numbers change: write version: {old.version + 1}, or a worker refuses the state it finds")
        else:
            recount = shlex.join(["funnelcast", "recount", after])
            emit(f"{new.funnel_id} is counted from nothing, beside {old.funnel_id}; `{recount}` counts the past, too")
    if not counts_same:
        raise typer.Exit(1)


def _written(value: object) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
