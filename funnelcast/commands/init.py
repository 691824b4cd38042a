"""`funnelcast init`: four questions, and the files of a new installation. funnelcast.beginning writes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from funnelcast.commands.options import JsonFlag
from funnelcast.say import command_line, emit, say

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Examples:  funnelcast init  ·  funnelcast init --site https://shop.example --funnel web --currency EUR  ·  "
    "funnelcast init --csv orders.csv --json"
)
def init(
    *,
    site: Annotated[
        str | None, typer.Option(help="Address of your pages, https://shop.example; only they may use the key.")
    ] = None,
    funnel: Annotated[
        str | None, typer.Option(help="Preset to begin with (`funnelcast funnels list`).  [default: web]")
    ] = None,
    currency: Annotated[str | None, typer.Option(help="Of the reports, e.g. EUR.  [default: USD]")] = None,
    csv: Annotated[Path | None, typer.Option(help="A table of what happened before, to import.")] = None,
    name: Annotated[str, typer.Option(help="Of the funnel and its file.")] = "shop",
    force: Annotated[bool, typer.Option("--force", help="Write files anew that are there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write funnelcast.toml, a funnel with comments, write keys and, for a CSV, an import file, into this directory.

    Asks what no flag says, on a terminal. Prints the commands that follow. What is there stays, unless --force.
    """
    from funnelcast.beginning import Beginning, begin

    asks = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    answers = Beginning(
        site=_answer(
            site, question="Address of your site, e.g. https://shop.example (Enter: any)", default="", asks=asks
        ).rstrip("/"),
        funnel=_answer(
            funnel, question="Funnel to begin with: web, sales, retail8, deal8, ...", default="web", asks=asks
        ),
        currency=_answer(currency, question="Currency of your reports", default="USD", asks=asks).upper(),
        csv=_table(
            _answer(
                None if csv is None else str(csv),
                question="CSV of what happened before (Enter: none)",
                default="",
                asks=asks,
            )
        ),
        name=name,
    )
    begun = begin(Path(), answers, over=force)
    commands = _commands(begun.browser_key, begun.import_file)
    if as_json:
        document = {"files": [str(path) for path in begun.files], "key": begun.browser_key, "commands": commands}
        emit(json.dumps(document))
        return
    say(f"written: {', '.join(str(path) for path in begun.files)}")
    if begun.import_file is not None:
        say(f"{begun.import_file} asks what it could not see in the table: answer each ??? in it")
    say("then:")
    for command in commands:
        say(f"  {command}")


def _answer(given: str | None, *, question: str, default: str, asks: bool) -> str:
    if given is not None or not asks:
        return given if given is not None else default
    return str(typer.prompt(question, default=default, show_default=bool(default))).strip()


def _table(path: str) -> Path | None:
    from schemas.errors import UsageError

    if not path:
        return None
    if not Path(path).is_file():
        raise UsageError(f"{path}: there is no such file")
    return Path(path)


def _commands(key: str, import_file: Path | None) -> list[str]:
    """In this order: history comes before what is live."""
    own = command_line()
    sent = [] if import_file is None else [f"{own} import {import_file} --dry-run"]
    snippet = f"{own} snippet --url http://127.0.0.1:8080 --key {key}"
    return [f"{own} stack up --all", *sent, snippet, f"{own} report"]
