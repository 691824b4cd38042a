"""`funnelcast alerts`: the alerts that a history would have raised, and the threshold that suits it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from funnelcast.commands.alerts_explain import explain
from funnelcast.commands.alerts_rules import rules
from funnelcast.commands.alerts_watch import watch
from funnelcast.commands.options import FunnelsOption, JsonFlag, with_settings
from funnelcast.say import say
from funnelcast.settings.sections import (
    ContactKeySettings,
    FunnelSettings,
    KafkaSettings,
    RedisSettings,
    SpaceSettings,
    ThresholdSettings,
    WatermarkSettings,
)
from funnelcast.signals import run_until_told
from schemas.errors import UsageError
from schemas.funnel.load import load_funnels

if TYPE_CHECKING:
    from schemas.funnel.model import Funnel
    from streams.evidence.watched import Watched

app = typer.Typer(no_args_is_help=True, help="Find the alerts that a history would have raised, and tune them.")
app.command(
    epilog="Examples:  funnelcast alerts explain  ·  funnelcast alerts explain FunnelConversionDrop --funnel shop.yaml"
)(explain)
app.command(epilog="Example:  funnelcast alerts watch --notify notify.yaml")(watch)
app.command(
    epilog="Examples:  funnelcast alerts rules --grafana-url https://grafana.example -o rules/alerts.yml  ·  "
    "funnelcast alerts rules --funnel shop.yaml"
)(rules)
_LOW_THRESHOLD = 2.0
_DAYS_OF_MONTH = 30.0


@dataclass(frozen=True, kw_only=True)
class AlertSettings(WatermarkSettings, ContactKeySettings, FunnelSettings, SpaceSettings, KafkaSettings, RedisSettings):
    """Of what counts a history. Redis says which versions of the funnels are counted, where it is known."""


EventsOption = Annotated[Path | None, typer.Option(help="Native events in log order, or an archive, as for `replay`.")]
KafkaFlag = Annotated[bool, typer.Option("--from-kafka", help="The log of the space, as far back as Kafka has it.")]
ArchiveOption = Annotated[
    Path | None, typer.Option(metavar="DIR|URL", help="An archive; with --from-kafka what is older than the log.")
]
SinceOption = Annotated[str | None, typer.Option(help="Look at alerts from here on (2025-01-31).")]
UntilOption = Annotated[str | None, typer.Option(help="... and before this day.")]


@dataclass(frozen=True, kw_only=True)
class BacktestSettings(ThresholdSettings, AlertSettings):
    """With what an alert begins at."""


@app.command(
    epilog="Examples:  funnelcast alerts backtest --funnel shop.yaml --events history.jsonl --json  ·  "
    "funnelcast alerts backtest --funnel shop.yaml --from-kafka --archive /data/archive --since 2025-01-31"
)
@with_settings(BacktestSettings)
def backtest(
    settings: BacktestSettings,
    *,
    events: EventsOption = None,
    from_kafka: KafkaFlag = False,
    archive: ArchiveOption = None,
    funnel: FunnelsOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Print each alert that a history would have raised: when, where, why, with the numbers.

    Evidence needs a week to learn from. An alert that another one explains (a broken tag, a silent source, a spike of
    visitors who cost nothing) is shown, and pages nobody.
    """
    answers = [
        _backtest(each, watched, since=since, until=until, threshold=settings.threshold)
        for each, watched in _counted(settings, funnel, source=_Source(events, from_kafka, archive))
    ]
    if as_json:
        sys.stdout.write(json.dumps(answers[0] if len(answers) == 1 else answers, ensure_ascii=False) + "\n")
        return
    from funnelcast.commands.alert_tables import print_alerts

    for answer in answers:
        print_alerts(answer)


@app.command(epilog="Example:  funnelcast alerts tune --funnel shop.yaml --events history.jsonl --pages-per-month 1")
@with_settings(AlertSettings)
def tune(
    settings: AlertSettings,
    *,
    events: EventsOption = None,
    from_kafka: KafkaFlag = False,
    archive: ArchiveOption = None,
    pages_per_month: Annotated[float, typer.Option(min=0.01, help="False pages wanted, over all series.")] = 1.0,
    funnel: FunnelsOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Propose the threshold at which a history taken as normal would have paged so often."""
    from streams.evidence.alerts import threshold_for

    answers: list[dict[str, Any]] = []
    for each, watched in _counted(settings, funnel, source=_Source(events, from_kafka, archive)):
        alerts, days = _alerts(watched, since=since, until=until, threshold=_LOW_THRESHOLD)
        peaks = [alert.peak_nats for alert in alerts if not alert.muted_by]
        months = max(days, 1) / _DAYS_OF_MONTH
        nats = threshold_for(peaks, months=months, pages_per_month=pages_per_month)
        answers.append(
            {"funnel": each.name, "version": each.version, "days": days, "peaks": len(peaks), "threshold": nats}
        )
    if as_json:
        sys.stdout.write(json.dumps(answers[0] if len(answers) == 1 else answers, ensure_ascii=False) + "\n")
        return
    for answer in answers:
        say(
            f"{answer['funnel']} version {answer['version']}: {answer['threshold']:.1f} nats for {pages_per_month:g} "
            f"false pages a month ({answer['days']} days looked at)"
        )


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a history comes from: a file, or the log and an archive."""

    events: Path | None
    from_kafka: bool
    archive: Path | None

    def __post_init__(self) -> None:
        if (self.events is not None) == (self.from_kafka or self.archive is not None):
            raise UsageError("say whose history: --events FILE, or --from-kafka and --archive DIR, one or both of them")


def _counted(settings: AlertSettings, funnel: Any, *, source: _Source) -> list[tuple[Funnel, Watched]]:
    if source.events is not None:
        return _count(settings, funnel or settings.of_a_file(), events=source.events)
    from funnelcast.counted_most import chosen_now, chosen_of
    from funnelcast.progress import progress_bar
    from funnelcast.replay.logged import watched_of_log

    configured = load_funnels(settings.funnels)
    if settings.redis is None:
        funnels = chosen_of(funnel or (), configured)
    else:
        choosing = chosen_now(settings.need_redis(), settings.space, names=funnel or (), configured=configured)
        funnels = run_until_told(choosing)
    kafka = settings.need_kafka() if source.from_kafka else None
    with progress_bar("counting the log") as progress:
        counting = watched_of_log(
            funnels,
            kafka=kafka,
            topic=settings.topics.events,
            archive=source.archive,
            watermark_delay_ms=settings.watermark_delay_ms,
            progress=progress,
        )
        return list(zip(funnels, run_until_told(counting), strict=True))


def _count(settings: AlertSettings, names: Any, *, events: Path) -> list[tuple[Funnel, Watched]]:
    from funnelcast.progress import progress_bar
    from funnelcast.replay.histories import watched_of_file
    from funnelcast.replay.memory import Refusals, ReplayJob

    funnels = tuple(load_funnels(names))
    job = ReplayJob(
        funnels=funnels,
        references=tuple(names),
        events=events,
        watermark_delay_ms=settings.watermark_delay_ms,
        contact_key=settings.contact_key or "replay",
    )
    refusals = Refusals(events)
    with progress_bar(f"counting {events.name}") as progress:
        watched = run_until_told(watched_of_file(job, refusals, progress=progress))
    refusals.sum_up()
    return list(zip(funnels, watched, strict=True))


def _alerts(watched: Watched, *, since: str | None, until: str | None, threshold: float) -> tuple[list[Any], int]:
    """The alerts, and on how many days there could have been any."""
    from funnelcast.progress import progress_bar
    from streams.evidence.backtest import Backtest

    backtest = Backtest(watched)
    days = range(
        max(backtest.days.start, backtest.days.start if since is None else _day(since)),
        min(backtest.days.stop, backtest.days.stop if until is None else _day(until)),
    )
    with progress_bar("looking for alerts") as progress:
        alerts = backtest.run(days, threshold=threshold, progress=progress)
    return alerts, backtest.evaluated_days(days)


def _day(text: str) -> int:
    from datetime import date

    from schemas.times import day_of

    try:
        return day_of(date.fromisoformat(text))
    except ValueError:
        raise UsageError(f"{text!r} is no day; write e.g. 2025-01-31") from None


def _backtest(
    funnel: Funnel, watched: Watched, *, since: str | None, until: str | None, threshold: float
) -> dict[str, Any]:
    from streams.evidence.alerts import document_of

    alerts, days = _alerts(watched, since=since, until=until, threshold=threshold)
    pages = sum(not alert.muted_by for alert in alerts)
    return {
        "funnel": funnel.name,
        "version": funnel.version,
        "threshold": threshold,
        "days": days,
        "alerts": [document_of(alert) for alert in alerts],
        "pages_per_week": 7 * pages / days if days else None,
    }
