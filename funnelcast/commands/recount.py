"""`funnelcast recount`: count the log again for a changed definition, beside the running one, and switch to it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import (
    FunnelSettings,
    KafkaSettings,
    RedisSettings,
    SpaceSettings,
    WatermarkSettings,
)
from funnelcast.signals import run_until_told

if TYPE_CHECKING:
    from schemas.funnel.model import Funnel
    from streams.recount.comparison import Pair, VersionsCompared
    from streams.recount.job import Outcome
    from streams.report.tables.grid import Grid

app = typer.Typer(help="Count the log again for a changed definition, and switch to it.", add_completion=False)


@dataclass(frozen=True, kw_only=True)
class RecountSettings(WatermarkSettings, FunnelSettings, SpaceSettings, RedisSettings, KafkaSettings):
    """Those of the workers."""


@app.command(
    epilog="Examples:  funnelcast recount shop.yaml  ·  funnelcast recount shop.yaml --dry-run  ·  "
    "funnelcast recount shop --json"
)
@with_settings(RecountSettings)
def recount(
    settings: RecountSettings,
    *,
    funnel: Annotated[str, typer.Argument(metavar="FUNNEL", help="A file, a preset, or the name of a funnel.")],
    switch: Annotated[
        bool, typer.Option("--switch/--dry-run", help="Use the new version when it is counted; or only compare.")
    ] = True,
    archive: Annotated[
        Path | None, typer.Option(metavar="DIR|URL", help="An archive, for what is older than Kafka's log.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Print what differs from the version before.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that count; without it, one for each core, at most 4.")
    ] = None,
    max_person_events: Annotated[
        int | None, typer.Option(min=1000, help="As the workers have it (--max-person-events).")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Count everything that the log holds by this definition, as if it had run from the start.

    The workers go on counting meanwhile. At the end they stand still for a moment and go on with the new version, and
    so do reports, the page and the exporter. What the old version counted stays. A definition that was changed needs
    a higher `version`. Ctrl-C changes nothing: start it again then. --dry-run compares and changes
    nothing.
    """
    settings.need_kafka()
    settings.need_redis()
    chosen = _chosen(settings, funnel)
    outcome, seconds = run_until_told(
        _recount(
            settings,
            chosen,
            switch=switch,
            processes=processes,
            max_person_events=max_person_events,
            archive=archive,
            quiet=as_json,
        )
    )
    if as_json:
        emit(json.dumps(_document(outcome, chosen, seconds=seconds)))
        return
    show_outcome(outcome, seconds, with_differences=compare or not switch)


def _chosen(settings: RecountSettings, reference: str) -> Funnel:
    """A configured funnel by its name, else what the reference loads."""
    from schemas.funnel.load import load_funnel, load_funnels

    if not Path(reference).exists():
        for funnel in load_funnels(settings.funnels):
            if funnel.name == reference:
                return funnel
    return load_funnel(reference)


async def _recount(
    settings: RecountSettings,
    funnel: Funnel,
    *,
    switch: bool,
    processes: int | None,
    max_person_events: int | None,
    archive: Path | None,
    quiet: bool,
) -> tuple[Outcome, float]:
    from schemas.funnel.definition import definition_text
    from streams.defaults import MAX_PERSON_EVENTS
    from streams.recount.job import RecountJob
    from streams.recount.run import Recount
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    job = RecountJob(
        kafka=settings.need_kafka(),
        redis=settings.need_redis(),
        space=settings.space,
        definition=definition_text(funnel),
        watermark_delay_ms=settings.watermark_delay_ms,
        max_person_events=max_person_events or MAX_PERSON_EVENTS,
        processes=processes,
        archive=None if archive is None else str(archive),
    )
    client = connect(settings.need_redis())
    began = time.monotonic()
    try:
        reader = RedisCounterReader(client, settings.space)
        old = _before(await reader.definitions(), funnel)
        from funnelcast.recounting import watching

        with watching(quiet=quiet) as watcher:
            return await Recount(job, client, watcher=watcher, old=old).run(switch=switch), time.monotonic() - began
    finally:
        await close(client)


def _before(definitions: dict[str, str], funnel: Funnel) -> Funnel | None:
    """The newest other version that was counted; else the same one, which has counted less."""
    from schemas.funnel.load import parse_funnel

    counted = [parse_funnel(text, origin=funnel_id) for funnel_id, text in definitions.items()]
    mine = sorted((one for one in counted if one.name == funnel.name), key=lambda one: one.version)
    others = [one for one in mine if one.version != funnel.version] or mine
    return others[-1] if others else None


def _document(outcome: Outcome, funnel: Funnel, *, seconds: float) -> dict[str, object]:
    values = asdict(outcome)
    values["missing"] = sum(outcome.missing.values())
    return {"funnel": funnel.name, "version": funnel.version, "seconds": round(seconds, 3), **values}


def show_outcome(outcome: Outcome, seconds: float, *, with_differences: bool) -> None:
    """What was done, for people."""
    _say(outcome, seconds)
    if with_differences and outcome.compared is not None:
        from funnelcast.screen import Screen

        Screen().print(_table(outcome.compared))


def _say(outcome: Outcome, seconds: float) -> None:
    rate = outcome.records / max(outcome.counting_seconds, 0.001)
    archived = f", {outcome.from_archive:,} of them from the archive" if outcome.from_archive else ""
    say(
        f"{outcome.funnel_id}: {outcome.records:,} records of {outcome.partitions} partitions{archived} "
        f"in {seconds:.1f} s ({rate:,.0f} a second)"
    )
    for partition, missing in sorted(outcome.missing.items()):
        say(f"  partition {partition}: {missing:,} older records are gone from Kafka, and in no archive", err=True)
    if outcome.is_switched:
        say(
            f"switched: workers count {outcome.funnel_id} from now on. Counting stood still for "
            f"{outcome.pause_seconds or 0:.2f} s. Start processes with this definition from now on."
        )
    else:
        say("nothing was changed (--dry-run)")


def _table(compared: VersionsCompared) -> Grid:
    from streams.report.tables.grid import Grid

    before, now = compared["before"] or "nothing", compared["now"]
    title = f"{now} compared with {before}" if before != now else f"{now}, counted again, compared with what it was"
    table = Grid("stage", "number", ">before", ">now", ">difference", title=title)
    for name, pair in compared["input"].items():
        _add(table, label="input", name=name, pair=pair)
    for stage in compared["stages"]:
        label = stage["stage"] + ("" if stage["before"] == stage["now"] else " (new)" if stage["now"] else " (gone)")
        for name, pair in stage["numbers"].items():
            _add(table, label=label, name=name, pair=pair)
            label = ""
    return table


def _add(table: Grid, *, label: str, name: str, pair: Pair) -> None:
    difference = pair["now"] - pair["before"]
    table.add_row(label, name, f"{pair['before']:,}", f"{pair['now']:,}", f"{difference:+,}" if difference else "")
