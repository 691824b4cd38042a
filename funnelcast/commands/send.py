"""`funnelcast send`: a file through the collector, with a progress bar. Composes `producers.importer`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import JsonFlag, TolerateOption, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import ClientSettings, FunnelSettings, RedisSettings, SpaceSettings, StateSettings

if TYPE_CHECKING:
    from producers.importer.lines import EventFile
    from producers.importer.strict import Strict

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class SendSettings(ClientSettings, FunnelSettings, SpaceSettings, RedisSettings, StateSettings):
    """Where events go, what funnels look at, where progress is kept. Redis, where it is set, is asked how far the space
    has counted."""


@app.command(
    epilog="Examples:  funnelcast send e.jsonl --url http://127.0.0.1:8080 --key fcs_...  ·  "
    "funnelcast send orders.csv --historical --set name=payment,currency=EUR "
    "--map id=order_no,user_id=customer,occurred_at=date,value=amount  ·  zcat e.jsonl.gz | funnelcast send -"
)
@with_settings(SendSettings)
def send(
    settings: SendSettings,
    *,
    file: Annotated[str, typer.Argument(help="Native events as JSONL or array, or CSV; gzip, zip; - is stdin.")],
    historical: Annotated[
        bool, typer.Option("--historical", help="Sort by time; events are received when they occurred.")
    ] = False,
    columns: Annotated[
        list[str] | None, typer.Option("--map", help="CSV: member=column,...; what is no member becomes a property.")
    ] = None,
    constants: Annotated[
        list[str] | None, typer.Option("--set", help="CSV: member=value,... for every line, e.g. name=payment.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="CSV: between cells; default: found.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of the file, e.g. cp1251; default: found.")] = None,
    tolerate: TolerateOption = None,
    patience: Annotated[float, typer.Option(help="Seconds to try one batch again before exit 75.")] = 600.0,
    again: Annotated[bool, typer.Option("--again", help="Send from the start although it was sent before.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send a file of events. Interrupted, the same command goes on where it stopped; nothing is counted twice.

    What a collector would count wrongly and go on with is refused, line by line. Where --redis (and --space) is set,
    history that the space would no longer count is refused before the first event. Exit 0: every line was taken; 1:
    some were not; 2: none was. Other people's files, in any shape: `funnelcast import`.
    """
    import httpx

    from funnelcast.importing import Refusals, exit_code, run_importer
    from producers.importer.importer import Importer, Target
    from producers.importer.lines import open_events
    from producers.importer.mapping import Mapping
    from producers.importer.problems import Kind, kinds_of
    from producers.importer.strict import LATE_HINT

    refusals = Refusals(file)
    events = open_events(
        file,
        mapping=Mapping.parse(columns or [], constants or []),
        is_historical=historical,
        refused=refusals.add,
        strict=_strict(settings, tolerate or [], is_historical=historical),
        encoding=encoding,
        delimiter=delimiter,
    )
    target = Target(settings.url, settings.write_key(), patience)
    importer = Importer(events, target, settings.state_dir, httpx.AsyncClient(), on_refused=refusals.add)
    if again:
        importer.start_over()
    was_sent = importer.progress.is_done
    if historical and not importer.progress.sent and _comes_too_late(settings, file, events=events):
        raise typer.Exit(2)
    progress = run_importer(importer, total=events.count_lines)
    refusals.sum_up()
    rejected = max(refusals.count, progress.rejected)  # of an earlier run the lines are known to the progress alone
    late = 0 if Kind.LATE in kinds_of(tolerate or []) else progress.late
    if progress.late:
        say(f"{file}: {progress.late} events were accepted too late for every funnel: {LATE_HINT}", err=True)
    if as_json:
        document = {"accepted": progress.accepted, "rejected": rejected, "late": progress.late}
        emit(json.dumps(document | {"session": progress.session, "already_sent": was_sent}))
    if was_sent:
        say(f"{file}: was sent before, nothing is sent now; --again sends it again", err=True)
    elif not as_json:
        say(f"{file}: {progress.accepted} events accepted, {rejected} rejected", err=True)
    raise typer.Exit(exit_code(taken=progress.accepted - late, refused=rejected + late))


def _comes_too_late(settings: SendSettings, file: str, *, events: EventFile) -> bool:
    """Whether the space has counted on beyond some of a history; said on stderr."""
    from funnelcast.space_times import asked_horizon_ms, late_text

    if settings.redis is None:
        say(f"{file}: whether the space has counted beyond it is not known; --redis and --space ask it first", err=True)
        return False
    horizon = asked_horizon_ms(settings)
    if horizon is None:
        return False
    late, count = events.count_late(horizon)
    if late:
        say(f"{file}: {late_text(late, count, horizon=horizon, space=settings.space)}", err=True)
    return late > 0


def _strict(settings: SendSettings, tolerated: list[str], *, is_historical: bool) -> Strict:
    """Names are checked where somebody has said which funnels there are: others may be the collector's."""
    from funnelcast.importing import strict_of

    is_said = "funnels" in settings.sources
    return strict_of(settings.funnels if is_said else None, tolerated, is_historical=is_historical)
