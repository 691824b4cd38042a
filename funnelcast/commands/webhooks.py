"""`funnelcast webhooks`: check the file, show what a hook's stages mean, try a delivery. Sends nothing anywhere."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit
from funnelcast.settings import SettingsError
from funnelcast.settings.sections import FunnelSettings, WebhookSettings

if TYPE_CHECKING:
    from producers.webhooks.config import Hook, Webhooks
    from producers.webhooks.delivery import WebhookEvent
    from schemas.funnel.model import Funnel

app = typer.Typer(
    no_args_is_help=True, help="Check the file of webhooks, and try what a delivery becomes.", add_completion=False
)


@dataclass(frozen=True, kw_only=True)
class TrySettings(FunnelSettings, WebhookSettings):
    """The hooks, and the funnels that look at their events."""


def _load(path: Path | None) -> Webhooks:
    from producers.webhooks.config import load_webhooks

    if path is None:
        raise SettingsError("where are the webhooks? set FUNNELCAST_WEBHOOKS or give --webhooks webhooks.yaml")
    return load_webhooks(path, os.environ)


def _hook(webhooks: Webhooks, name: str) -> Hook:
    hook = webhooks.by_name().get(name)
    if hook is None:
        raise SettingsError(f"there is no hook {name!r}; there are {', '.join(sorted(webhooks.by_name()))}")
    return hook


def _summary(hook: Hook) -> dict[str, Any]:
    """Without secrets: where an address holds a secret, only its place is shown."""
    details = "enricher" if hook.api is not None else ("" if hook.vendor.api is None else "api missing")
    return {
        "name": hook.name,
        "provider": hook.provider,
        "source": hook.sent_as,
        "address": hook.path + ("/<secret>" if hook.vendor.secret_in_path else ""),
        "secrets": len(hook.secrets),
        "details": details,
    }


@app.command(epilog="Example:  funnelcast webhooks check webhooks.yaml")
@with_settings(WebhookSettings)
def check(
    settings: WebhookSettings,
    *,
    file: Annotated[Path | None, typer.Argument(help="The file; default FUNNELCAST_WEBHOOKS.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check the file: exit 0 when it can be used, 2 with what to change when not."""
    rows = [_summary(hook) for hook in _load(file or settings.webhooks).hooks]
    if as_json:
        emit(json.dumps(rows))
        return
    _print_table(list(rows[0]), [[str(value) for value in row.values()] for row in rows])


@app.command(epilog="Example:  funnelcast webhooks show stripe")
@with_settings(WebhookSettings)
def show(
    settings: WebhookSettings,
    *,
    name: Annotated[str, typer.Argument(help="The hook.")],
    as_json: JsonFlag = False,
) -> None:
    """Show which event each stage or type of a hook becomes, defaults filled in."""
    hook = _hook(_load(settings.webhooks), name)
    if as_json:
        emit(json.dumps(hook.known_stages, ensure_ascii=False))
        return
    _print_table(["at the vendor", "event"], [[key, event or "-"] for key, event in hook.known_stages.items()])


@app.command(
    "try",
    epilog="Examples:  funnelcast webhooks try stripe delivery.json  ·  "
    "funnelcast webhooks try shopify order.json --header 'X-Shopify-Topic: orders/paid'",
)
@with_settings(TrySettings)
def try_delivery(
    settings: TrySettings,
    *,
    name: Annotated[str, typer.Argument(help="The hook.")],
    file: Annotated[Path, typer.Argument(help="The body of a delivery, as the vendor's own page shows it.")],
    header: Annotated[list[str] | None, typer.Option(help="A header that came with it; repeatable.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what a delivery becomes. Nothing is checked of its signature, sent or asked; exit 1 if some is rejected."""
    from schemas.funnel.load import load_funnels

    hook, definitions = _hook(_load(settings.webhooks), name), load_funnels(settings.funnels)
    try:
        body = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror or error}") from None
    results = [_shown(hook, event, funnels=definitions) for event in _read(hook, body, headers=header or [])]
    if as_json:
        emit(json.dumps(results, ensure_ascii=False))
    for result in [] if as_json else results:
        _print_table(["", "~what it becomes"], _rows(result))
    if any("rejected" in result for result in results):
        raise typer.Exit(1)


def _read(hook: Hook, body: bytes, *, headers: list[str]) -> list[WebhookEvent]:
    from producers.http.body import RequestError

    pairs = [header.partition(":") for header in headers]
    sent = {name.strip().lower().encode(): value.strip().encode() for name, _, value in pairs}
    try:
        return hook.read(body, sent).events
    except RequestError as error:
        raise SettingsError(f"the delivery cannot be read: {error.message}: {error.detail}") from None


def _shown(hook: Hook, sent: WebhookEvent, *, funnels: list[Funnel]) -> dict[str, Any]:

    from producers.ingest.checks import Ingest
    from producers.ingest.contacts import Contacts
    from producers.ingest.verdicts import Accepted, Rejected
    from producers.webhooks.mapper import Mapper
    from schemas.record import decode_any

    ingest = Ingest(contacts=Contacts(b"only for show"))
    verdict = Mapper(hook, ingest).verdict(sent, wall_clock_ms())
    if isinstance(verdict, Rejected):
        return {"rejected": verdict.reason.value, "detail": verdict.detail}
    assert isinstance(verdict, Accepted)  # noqa: S101 - hooks make no ticks
    event = decode_any(verdict.value)
    ids = {name: event[name] for name in ("user_id", "contact_id", "anonymous_id") if name in event}
    if ids.get("contact_id", sent.subject) != sent.subject:
        ids["contact_id"] = "made of the e-mail or phone"  # with the collector's key, which is not asked for here
    asks = {"then": "the enricher asks the CRM"} if sent.deal is not None and hook.api is not None else {}
    seen = _looked_at(event["name"], funnels)
    return {"event": event["name"], "looked at by": seen, "person": ids, "properties": event["properties"], **asks}


def _rows(shown: dict[str, Any], indent: str = "") -> list[list[str]]:
    rows = []
    for name, value in shown.items():
        if isinstance(value, dict):
            rows += [[indent + name, ""], *_rows(value, indent + "  ")]
        else:
            rows.append([indent + name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)])
    return rows


def _looked_at(name: str, funnels: list[Funnel]) -> str:
    from schemas.names import normalise_name

    name, places = normalise_name(name), []
    for funnel in funnels:
        stages = [stage for stage in funnel.stages if any(rule.event == name for rule in stage.on)]
        places += [f"{funnel.name}: {stage.name}" for stage in stages]
        places += [f"{funnel.name}: lost" for lost in funnel.lost if any(rule.event == name for rule in lost.on)]
        places += [f"{funnel.name}: refund"] if name in funnel.refunds else []
    return ", ".join(places) or "nobody"


def _print_table(headings: list[str], rows: list[list[str]]) -> None:
    from funnelcast.screen import Screen
    from streams.report.tables.grid import Grid

    table = Grid(*headings)
    for row in rows:
        table.add_row(*row)
    Screen().print(table)
