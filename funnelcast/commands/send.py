"""`funnelcast send`: a file through the collector, with a progress bar. Composes `producers.importer`."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.settings.sections import ClientSettings, StateSettings

if TYPE_CHECKING:
    from producers.importer.importer import Importer, Progress
    from producers.importer.lines import Refused

app = typer.Typer(add_completion=False)
_SHOWN = 20
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class SendSettings(ClientSettings, StateSettings):
    """Where events go, and where the progress of imports is kept."""


@app.command(
    epilog="Examples:  funnelcast send e.jsonl --url http://127.0.0.1:8080 --key fcs_...  ·  "
    "funnelcast send orders.csv --historical --set name=payment,currency=EUR "
    "--map id=order_no,user_id=customer,occurred_at=date,value=amount  ·  zcat e.jsonl.gz | funnelcast send -"
)
@with_settings(SendSettings)
def send(
    settings: SendSettings,
    file: Annotated[str, typer.Argument(help="JSONL of native events, or CSV; gzip is fine; - is stdin.")],
    historical: Annotated[
        bool, typer.Option("--historical", help="Sort by time; events are received when they occurred.")
    ] = False,
    columns: Annotated[
        list[str] | None, typer.Option("--map", help="CSV: member=column,...; what is no member becomes a property.")
    ] = None,
    constants: Annotated[
        list[str] | None, typer.Option("--set", help="CSV: member=value,... for every line, e.g. name=payment.")
    ] = None,
    patience: Annotated[float, typer.Option(help="Seconds to try one batch again before exit 75.")] = 600.0,
    again: Annotated[bool, typer.Option("--again", help="Send from the start although it was sent before.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send a file of events. Interrupted, the same command goes on where it stopped; nothing is counted twice."""
    import httpx

    from producers.importer.importer import Importer, Target
    from producers.importer.lines import Mapping, open_events

    target = Target(settings.url, settings.key, patience)
    refusals = _Refusals(file)
    mapping = Mapping.parse(columns or [], constants or [])
    events = open_events(file, mapping=mapping, is_historical=historical, refused=refusals.add)
    importer = Importer(events, target, settings.state_dir, httpx.AsyncClient(), on_refused=refusals.add)
    if again:
        importer.start_over()
    was_sent = importer.progress.is_done
    progress = _run(importer)
    refusals.sum_up()
    if as_json:
        document = {"accepted": progress.accepted, "rejected": progress.rejected + refusals.local(progress)}
        typer.echo(json.dumps(document | {"session": progress.session, "already_sent": was_sent}))
    if was_sent:
        typer.echo(f"{file}: was sent before, nothing is sent now; --again sends it again", err=True)
    elif not as_json:
        typer.echo(f"{file}: {progress.accepted} events accepted, {progress.rejected} rejected", err=True)


class _Refusals:
    """Shows the first refused lines, counts all."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.count = 0

    def add(self, refused: Refused) -> None:
        self.count += 1
        if self.count <= _SHOWN:
            typer.echo(f"{self._name}:{refused.line}: {refused.reason}: {refused.detail}", err=True)

    def local(self, progress: Progress) -> int:
        """Lines that were refused before they were sent."""
        return max(0, self.count - progress.rejected)

    def sum_up(self) -> None:
        if self.count > _SHOWN:
            typer.echo(f"{self._name}: {self.count} lines not taken; the first {_SHOWN} are shown", err=True)


def _run(importer: Importer) -> Progress:
    """Run under a progress bar on stderr; Ctrl-C leaves the progress saved."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("sending", total=_count(importer) if console.is_terminal else None)
        importer.on_progress = lambda progress: bar.update(task, completed=progress.sent, description="sending")
        importer.on_wait = lambda why: bar.update(task, description=f"waiting: {why[:60]}")
        bar.update(task, completed=importer.progress.sent)
        try:
            return asyncio.run(_send(importer))
        except KeyboardInterrupt:
            done = importer.progress.sent
    typer.echo(f"stopped after {done} events; the same command goes on from there", err=True)
    sys.exit(EXIT_INTERRUPTED)


async def _send(importer: Importer) -> Progress:
    async with importer.client:
        return await importer.run()


def _count(importer: Importer) -> int:
    importer.file.file.seek(0)
    return sum(chunk.count(b"\n") for chunk in iter(lambda: importer.file.file.read(1 << 20), b""))
