"""`funnelcast keys`: write keys of the collector. A key is shown once; the file holds its hash."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from funnelcast.settings import SettingsError, load_settings

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke write keys.", add_completion=False)
KeysFile = Annotated[Path | None, typer.Option("--keys", help="File of hashed keys; default FUNNELCAST_KEYS.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def _file(given: Path | None) -> Path:
    path = load_settings(keys=given).keys
    if path is None:
        raise SettingsError("where are the keys? set FUNNELCAST_KEYS or give --keys keys.json")
    return path


@app.command(epilog="Example:  FUNNELCAST_KEYS=keys.json funnelcast keys create --source web --scope browser")
def create(
    source: Annotated[str, typer.Option(help="What the events of this key are from, e.g. web, crm, billing.")],
    scope: Annotated[
        Literal["browser", "server", "historical"],
        typer.Option(help="browser: public pages; server: backends; historical: imports that state their own time."),
    ] = "server",
    keys: KeysFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a new write key and print it once. A running collector knows it within a second."""
    from producers.ingest import Scope
    from producers.keys import create_key

    source = source.strip()
    if not source or len(source) > 64:
        raise typer.BadParameter("write 1 to 64 characters, e.g. web", param_hint="--source")
    path = _file(keys)
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    key, stored = create_key(path, source=source, scope=Scope(scope), created_at=created_at)
    if as_json:
        typer.echo(json.dumps({"key": key, "id": stored.id, "source": stored.source, "scope": stored.scope}))
        return
    typer.echo(key)
    typer.echo(f"key {stored.id} for source {source!r}, scope {scope}, kept as a hash in {path}; shown once", err=True)


@app.command("list", epilog="Example:  funnelcast keys list --keys keys.json")
def list_keys(keys: KeysFile = None, as_json: JsonFlag = False) -> None:
    """List the keys: ids, sources and scopes."""
    from producers.keys import read_keys

    found = read_keys(_file(keys))
    shown = [{"id": one.id, "source": one.source, "scope": one.scope, "created_at": one.created_at} for one in found]
    if as_json:
        typer.echo(json.dumps(shown))
        return
    for one in shown:
        typer.echo("  ".join(one.values()))


@app.command(epilog="Example:  funnelcast keys revoke 3f9a2c11 --keys keys.json")
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")], keys: KeysFile = None
) -> None:
    """Revoke a key. A running collector refuses it within a second. Exit 1 when there is no such key."""
    from producers.keys import revoke_key

    if not revoke_key(_file(keys), key_id):
        typer.echo(f"no key {key_id!r}; see `funnelcast keys list`", err=True)
        raise typer.Exit(1)
    typer.echo(f"revoked {key_id}", err=True)
