"""`funnelcast tail`: what arrives, as it arrives, and which stage takes it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import FunnelsOption, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import FunnelSettings, KafkaSettings, SpaceSettings
from schemas.text import printable

if TYPE_CHECKING:
    from funnelcast.tailing import Line

app = typer.Typer(help="Show what arrives, and which stage takes it.")
_WIDTHS = (8, 12, 26, 24, 22)


@dataclass(frozen=True, kw_only=True)
class TailSettings(FunnelSettings, SpaceSettings, KafkaSettings):
    """Where the events of a space are, and who looks at them."""


@app.command(epilog="Example:  funnelcast tail --funnels shop.yaml --source web  ·  funnelcast tail --no-follow --json")
@with_settings(TailSettings)
def tail(
    settings: TailSettings,
    *,
    funnel: FunnelsOption = None,
    source: Annotated[str | None, typer.Option(help="Only events of this source.")] = None,
    person: Annotated[
        str | None, typer.Option(help="Only of this person, with or without user:, contact:, ...")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only events of this name.")] = None,
    back: Annotated[int, typer.Option(min=0, help="Begin so many records before the end of each partition.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on until Ctrl-C; else end with the log.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show events as they arrive: time, source, person, name, verdict, and the stage that takes each.

    `-` means that no rule of the funnel looks at the event: it is kept, and counted nowhere.
    """
    from schemas.names import normalise_name

    wanted = None if name is None else normalise_name(name)

    def is_asked(line: Line) -> bool:
        has_person = person is None or person in (line.person, line.person.partition(":")[2])
        return has_person and source in (None, line.source) and wanted in (None, normalise_name(line.name))

    from funnelcast.signals import run_until_told

    with contextlib.suppress(KeyboardInterrupt):
        run_until_told(_tail(settings, funnel, is_asked=is_asked, back=back, follow=follow, as_json=as_json))


async def _tail(
    settings: TailSettings,
    funnel: list[str] | None,
    *,
    is_asked: Callable[[Line], bool],
    back: int,
    follow: bool,
    as_json: bool,
) -> None:
    from funnelcast.tailing import Reader, lines
    from schemas.funnel.load import load_funnels
    from schemas.topics import Topics

    reader = Reader(load_funnels(funnel or settings.funnels))
    if not as_json:
        say(HEADING)
    shown = False
    async for line in lines(settings.need_kafka(), Topics(settings.space), reader=reader, back=back):
        if line is None:
            if not follow:
                if not shown:
                    say(f"nothing to show among the last {back} records of each partition; see --back", err=True)
                return
        elif is_asked(line):
            shown = True
            emit(json.dumps(asdict(line), ensure_ascii=False)) if as_json else say(text_of(line))


def text_of(line: Line) -> str:
    """A row for people."""
    when = datetime.fromtimestamp(line.received_at_ms / 1000, tz=UTC).strftime("%H:%M:%S")
    several = len(line.stages) > 1
    stages = ", ".join(f"{funnel} {stage}" if several else stage for funnel, stage in line.stages.items())
    return _row(when, line.source, line.person, line.name, line.verdict, stages)


def _row(*texts: str) -> str:
    """Columns that nothing is cut from: a long text moves the rest of its line."""
    *first, last = (printable(text) for text in texts)
    return "  ".join([*(text.ljust(width) for text, width in zip(first, _WIDTHS, strict=True)), last]).rstrip()


HEADING = _row("time", "source", "person", "event", "verdict", "stages")
