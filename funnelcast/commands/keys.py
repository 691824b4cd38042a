"""`funnelcast keys`: keys of the collector and the exporter. A key is shown once; the file holds its hash."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings import SettingsError
from funnelcast.settings.sections import KeySettings

if TYPE_CHECKING:
    from producers.access.keys import StoredKey
    from streams.report.tables.grid import Grid

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke write keys and read keys.", add_completion=False)


def _file(settings: KeySettings) -> Path:
    if settings.keys is None:
        raise SettingsError("where are the keys? set FUNNELCAST_KEYS or give --keys keys.json")
    return settings.keys


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@app.command(
    epilog="Examples:  FUNNELCAST_KEYS=keys.json funnelcast keys create --source web  ·  "
    "funnelcast keys create --source crm --scope server --key-file crm.key  ·  "
    "funnelcast keys create --source web --origin https://shop.example --origin '*.shop.example' "
    "--allow order_completed --rate 500 --app-id shop-web  ·  "
    "funnelcast keys create --source prometheus --scope read"
)
@with_settings(KeySettings)
def create(
    settings: KeySettings,
    *,
    source: Annotated[str, typer.Option(help="What the events of this key are from, e.g. web, crm, billing.")],
    scope: Annotated[
        Literal["browser", "server", "historical", "read"],
        typer.Option(
            help="browser: public pages; server: backends; historical: imports that state their own time; "
            "read: metrics only, sends nothing."
        ),
    ] = "browser",
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Page that may use a browser's key: https://shop.example or *.shop.example; repeatable."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Event that a browser's key may send although it is for servers, e.g. payment; repeatable."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Most events a second; default: the collector's --rate-limit-key.")
    ] = None,
    app_id: Annotated[
        list[str] | None,
        typer.Option(help="Public name that stands for a browser's key (Snowplow's app id)."),
    ] = None,
    traffic: Annotated[
        Literal["human", "bot", "prefetch", "staff", "canary"] | None,
        typer.Option(help="Class of everything sent with it, e.g. staff or canary: funnels count people only."),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="Write the key to this new file, readable by its owner only, and print no key.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a new key and print it once. A running collector knows it within a second.

    A browser's key may be public; one that may report money is made by name: --scope server.
    """
    from producers.access.keys import KeyOptionError, create_key
    from producers.files.durable import write_atomically
    from producers.ingest.verdicts import Scope

    if key_file is not None and key_file.exists():
        raise typer.BadParameter(f"{key_file} exists; write another name", param_hint="--key-file")
    limits = _limits_of(origins=origin, allow=allow, rate=rate, app_ids=app_id) | {"traffic": traffic}
    path = _file(settings)
    try:
        key, stored = create_key(path, source=_source(source), scope=Scope(scope), created_at=_now(), **limits)
    except KeyOptionError as error:
        raise typer.BadParameter(str(error)) from None
    if key_file is not None:
        write_atomically(key_file, f"{key}\n".encode())
    shown = {"key": key} if key_file is None else {"key_file": str(key_file)}
    if as_json:
        emit(json.dumps({**shown, **_public(stored)}))
        return
    if key_file is None:
        emit(key)
    place = "shown once" if key_file is None else f"written to {key_file}"
    say(f"key {stored.id} for source {stored.source!r}, scope {scope}, kept as a hash in {path}; {place}", err=True)


def _source(source: str) -> str:
    from schemas.properties import MAX_SOURCE_CHARS

    source = source.strip()
    if not source or len(source) > MAX_SOURCE_CHARS:
        raise typer.BadParameter(f"write 1 to {MAX_SOURCE_CHARS} characters, e.g. web", param_hint="--source")
    return source


def _limits_of(
    *, origins: list[str] | None, allow: list[str] | None, rate: float | None, app_ids: list[str] | None
) -> dict[str, Any]:
    """What limits a key, as StoredKey has it."""
    return {
        "origins": tuple(origin.strip().lower().rstrip("/") for origin in origins or ()),
        "allow": tuple(name.strip() for name in allow or ()),
        "rate": rate,
        "app_ids": tuple(name.strip() for name in app_ids or ()),
    }


def _public(stored: StoredKey) -> dict[str, Any]:
    """A key without its hash, and without what it does not have."""
    from producers.access.keys import members

    return {name: value for name, value in members(stored).items() if name != "sha256"}


@app.command("list", epilog="Example:  funnelcast keys list --keys keys.json")
@with_settings(KeySettings)
def list_keys(settings: KeySettings, as_json: JsonFlag = False) -> None:
    """List the keys: ids, sources, scopes and what limits them. Revoked ones too."""
    from funnelcast.screen import Screen
    from producers.access.keys import read_keys

    stored = read_keys(_file(settings))
    if as_json:
        emit(json.dumps([_public(key) for key in stored]))
        return
    if not stored:
        say("no keys yet; make one: funnelcast keys create --source web", err=True)
        return
    Screen().print(_table(stored))


def _table(stored: list[StoredKey]) -> Grid:
    from streams.report.tables.grid import Grid

    table = Grid("id", "source", "scope", "created", "state", "~limits")
    for key in stored:
        state = "active" if key.revoked_at is None else f"revoked {key.revoked_at[:10]}"
        table.add_row(key.id, key.source, key.scope, key.created_at[:10], state, _limits(key))
    return table


def _limits(key: StoredKey) -> str:
    lists = {"origins": key.origins, "also": key.allow, "app": key.app_ids}
    limits = [f"{name} {' '.join(values)}" for name, values in lists.items() if values]
    return "; ".join(limits if key.rate is None else [*limits, f"{key.rate:g}/s"]) or "-"


@app.command(epilog="Example:  funnelcast keys revoke 3f9a2c11 --keys keys.json")
@with_settings(KeySettings)
def revoke(
    settings: KeySettings,
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")],
) -> None:
    """Revoke a key. A running collector refuses it within a second. Exit 1 when there is no such active key."""
    from producers.access.keys import revoke_key

    if not revoke_key(_file(settings), key_id, revoked_at=_now()):
        say(f"no active key {key_id!r}; see `funnelcast keys list`", err=True)
        raise typer.Exit(1)
    say(f"revoked {key_id}", err=True)
