"""`funnelcast report`: the live counters with their rates, as a table or as the counters document."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from funnelcast.commands.options import JsonFlag, WithBareOptions, with_settings
from funnelcast.say import say
from funnelcast.settings.sections import FunnelSettings, KafkaSettings, RedisSettings, SpaceSettings
from schemas.funnel.load import load_funnels
from schemas.funnel.model import Funnel

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class ReportSettings(FunnelSettings, SpaceSettings, RedisSettings, KafkaSettings):
    """Which space is read, and what its cells mean. Kafka is asked, where it is set, what no funnel looks at."""


class _ReportCommand(WithBareOptions):
    bare = {"--csv": "rows", "--compare": "previous", "--persons": "20"}  # noqa: RUF012 - a ClassVar of the base


@app.command(
    cls=_ReportCommand,
    epilog="Examples:  funnelcast report  ·  funnelcast report --grain week --since 2025-01-01  ·  "
    "funnelcast report --dim channel --sort revenue --top 5  ·  funnelcast report --watch  ·  "
    "funnelcast report --grain day --since 7d --dim channel --json  ·  "
    "funnelcast report --grain month --csv > months.csv  ·  "
    "funnelcast report --since 30d --compare  ·  funnelcast report --grain month --compare  ·  "
    "funnelcast report --what-if each=+10%  ·  funnelcast report --since 30d --what-if top=+50%,lead=25% --dim channel"
    "  ·  funnelcast report --paths  ·  funnelcast report --paths --since 90d --dim channel"
    "  ·  funnelcast report --profit --dim channel  ·  funnelcast report --scores --since 90d"
    "  ·  funnelcast report --targets targets.yaml  ·  funnelcast report --forecast --dim channel"
    "  ·  funnelcast report --forecast --back-test  ·  funnelcast report --changes --since 90d"
    ""
    "  ·  funnelcast report --persons 50 --dim manager=ann"
    "  ·  funnelcast report --view sales  ·  funnelcast report --sla lead=1h,lead->offer=1d --dim manager",
)
@with_settings(ReportSettings)
def report(
    settings: ReportSettings,
    *,
    funnel: Annotated[
        list[str] | None, typer.Option(help="A preset, a file, or the name of a counted funnel; repeat for several.")
    ] = None,
    grain: Annotated[
        str | None,
        typer.Option(
            metavar="total|minute|hour|day|week|month|quarter", help="A row for each; total: one row of all time."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From the bucket of this time: 2025-01-31, RFC 3339, 24h (ago), epoch ms.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="To the bucket before this time; same forms.")] = None,
    dim: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A row for each value of a dimension (channel) or pair (channel|manager); one cell (channel=google).",
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="With --dim: sort by name, a stage, overall, lost, abandoned, open, open_value, orders, revenue, aov, "
            "spend, cpl, cpa or roas; without it by entries.",
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="N", help="With --dim: only so many values; the others are summed up.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="previous|last-week|SINCE..UNTIL",
            help="Compare the days asked for (the last 7 whole days, without --since) with others (alone: the period "
            "before): every rate with its test, and which values of a dimension changed the overall conversion, by mix "
            "or by rate.",
        ),
    ] = None,
    what_if: Annotated[
        str | None,
        typer.Option(
            metavar="LIFTS",
            help="Expected entries, orders and revenue if a stage converted better (lead=+10%, lead=25%), all of them "
            "(each=+10%), or more people came (top=+50%); several with commas.",
        ),
    ] = None,
    paths: Annotated[
        bool,
        typer.Option(
            "--paths",
            help="How long each transition takes (half, 9 of 10), first contact to money, and win rates with and "
            "without a stage.",
        ),
    ] = False,
    profit: Annotated[
        bool,
        typer.Option(
            "--profit",
            help="What is left: margin, spend per sale, and what customers bring by age against what they cost.",
        ),
    ] = False,
    scores: Annotated[
        bool, typer.Option("--scores", help="Are the lead scores right: the share won by temperature, cold to hot.")
    ] = False,
    targets: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Plan against fact of a file of targets: pace, will it be made, how many at the top it needs.",
        ),
    ] = None,
    forecast: Annotated[
        bool,
        typer.Option(
            "--forecast", help="Revenue to expect of journeys under way, by stage and age, and when it comes."
        ),
    ] = False,
    back_test: Annotated[
        bool, typer.Option("--back-test", help="With --forecast: compare it with the past half year.")
    ] = False,
    changes: Annotated[
        bool,
        typer.Option("--changes", help="What is different since each annotation (`funnelcast annotate`)."),
    ] = False,
    view: Annotated[
        str | None,
        typer.Option(metavar="owner|marketing|sales", help="What this role looks at first, of the last 30 whole days."),
    ] = None,
    sla: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE=TIME,...",
            help="Entries that went on in time, breaches and what is pending: lead=4h, lead->offer=1d.",
        ),
    ] = None,
    persons: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Persons whose entries wait for longest, with ids that `funnelcast person` takes; alone: 20.",
        ),
    ] = None,
    names: Annotated[
        bool,
        typer.Option("--names", help="How values and reasons were first written; counters have the compared form."),
    ] = False,
    as_csv: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="rows|counters|rates",
            help="Print CSV: the rows of the table with every number (also when it stands alone), or a line for each "
            "counter or rate.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print what is counted now: totals, the sum of the time asked for, or a row for each bucket or value."""
    from funnelcast.commands.reporting import Asked, answer

    asked = Asked(
        texts={"grain": grain, "since": since, "until": until, "dim": dim},
        compare=compare,
        what_if=what_if,
        paths=paths,
        profit=profit,
        scores=scores,
        targets=targets,
        forecast=forecast,
        back_test=back_test,
        changes=changes,
        view=view,
        sla=sla,
        persons=persons,
        names=names,
        sort=sort,
        top=top,
        watch=watch,
        as_csv=as_csv,
        as_json=as_json,
    )
    answer(settings, _chosen(settings, funnel), asked=asked)


def _chosen(settings: ReportSettings, references: list[str] | None) -> list[Funnel]:
    """Counted funnels by name, else what the references load: a file is taken as it is. Without a reference the
    configured ones; of the default, where nobody says which: one."""
    from funnelcast.counted_most import chosen_now

    chosen = chosen_now(
        settings.need_redis(), settings.space, names=references or (), configured=load_funnels(settings.funnels)
    )
    funnels = asyncio.run(chosen)
    return funnels if references or settings.is_funnel_said else [_counted_most(settings, funnels)]


def _counted_most(settings: ReportSettings, funnels: list[Funnel]) -> Funnel:
    """So that an installation that set nothing up sees what it sends."""
    from funnelcast.counted_most import counted

    events = asyncio.run(counted(settings.need_redis(), settings.space, funnels=funnels))
    chosen = max(funnels, key=lambda funnel: events[funnel.name])
    for funnel in funnels:
        if funnel is not chosen and events[funnel.name]:
            say(f"{funnel.name} counts as well ({events[funnel.name]:,} events): --funnel {funnel.name}", err=True)
    return chosen
