"""A history with planted incidents: each is found, named, and nobody is called for what is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pytest

from schemas.counters import Family, cell_field, duration_sub, family
from schemas.funnel.model import Funnel
from schemas.times import DAY_MS
from streams.defaults import THRESHOLD_NATS
from streams.evidence.alerts import Alert, threshold_for
from streams.evidence.backtest import Backtest
from streams.evidence.history import History, Place
from streams.evidence.live import FunnelEvidence, standings
from streams.evidence.now import alerts_now
from streams.evidence.story import stories_of
from streams.evidence.watched import Normals, Watched
from streams.state import Annotation

CHANNELS = {2: "google", 3: "mail"}
STAGES = ("visit", "lead", "payment")
DAY = 1440
JUDGED = range(35, 42)
_FIRST_MINUTE = 34 * DAY


@dataclass
class Day:
    """Factors of one minute on what is normal."""

    visits: float = 1.0
    leads: float = 1.0
    told: float = 1.0
    """Share of the leads that the lead tag tells."""


def watched(change: Callable[[int, int], Day], *, price_minor: int = 0) -> Watched:
    """40 visits an hour and channel, one in five a lead within five minutes, one in four of them pays. What is not
    judged is made by the hour."""
    rng = np.random.default_rng(5)
    hours, minutes = History(currency=0), History(currency=0)
    for minute in [*range(0, _FIRST_MINUTE, 60), *range(_FIRST_MINUTE, JUDGED.stop * DAY)]:
        is_minute = minute >= _FIRST_MINUTE
        season = 1 + 0.5 * np.sin(2 * np.pi * (minute // 60 * 60 % DAY) / DAY)
        for code in CHANNELS:
            day = change(minute, code)
            visits = int(rng.poisson((40 / 60 if is_minute else 40) * season * day.visits))
            leads = int(rng.binomial(visits, min(1.0, 0.2 * day.leads)))
            payments = int(rng.binomial(leads, 0.25))
            seen = round(leads * day.told)
            onward = {0: (seen, 1), 1: (payments if day.told else 0, 2)}
            for stage, entries in enumerate((visits, seen, payments)):
                cell = {int(family(Family.ENTRIES)): entries}
                if stage in onward:
                    went_on, target = onward[stage]
                    cell[family(Family.DURATIONS, duration_sub(target, 2))] = went_on
                elif price_minor:
                    cell[int(family(Family.REVENUE))] = price_minor * entries
                if is_minute:
                    minutes.add(minute, 0, fields={cell_field(0, 0, stage): cell})
                hours.add(minute // 60, 0, fields={cell_field(0, 0, stage): cell})
                hours.add(minute // 60, 1, fields={cell_field(code, 0, stage): cell})
    return Watched(
        stages=STAGES,
        order_stages=(2,),
        hours=hours,
        minutes=minutes,
        label=lambda place: f"channel={CHANNELS[place.value]}" if place.dimset else "",
        hour_of_week=lambda hour: hour % 168,
        delay_ms=60_000,
    )


def alerts(change: Callable[[int, int], Day]) -> list[Alert]:
    outcome = Backtest(watched(change)).run(JUDGED, threshold=THRESHOLD_NATS, progress=lambda done, total: None)
    return [alert for alert in outcome if not alert.muted_by]


def between(minute: int, first_day: float, last_day: float) -> bool:
    return first_day * DAY <= minute < last_day * DAY


def test_quiet_days_call_nobody() -> None:
    assert alerts(lambda minute, channel: Day()) == []


def test_a_drop_everywhere_is_one_alert_of_its_stage() -> None:
    shop = watched(lambda minute, channel: Day(leads=0.3 if between(minute, 38, 40) else 1), price_minor=4000)
    outcome = Backtest(shop).run(JUDGED, threshold=THRESHOLD_NATS, progress=lambda done, total: None)
    fired = [alert for alert in outcome if not alert.muted_by]
    # as the gauges of the exporter name it
    assert {(alert.stage, alert.muted_by) for alert in outcome if alert.kind == "revenue"} == {
        ("payment", "FunnelConversionDrop")
    }
    assert [(alert.kind, alert.stage, alert.dim, alert.cause) for alert in fired] == [
        ("conversion", "visit", "", "conversion")
    ]
    assert 38 * DAY * 60_000 < fired[0].starts_at_ms < (38 * DAY + 6 * 60) * 60_000
    assert fired[0].first.numerator / fired[0].first.denominator < 0.15
    assert fired[0].first.expected == pytest.approx(0.2, rel=0.1)


def test_a_drop_of_one_channel_names_it() -> None:
    fired = alerts(lambda minute, channel: Day(leads=0.05 if channel == 2 and between(minute, 38, 40) else 1))
    assert "channel=google" in {alert.dim or alert.cause for alert in fired}
    assert "channel=mail" not in {alert.dim for alert in fired}


def test_a_value_that_all_of_a_stage_have_says_no_more_than_the_whole() -> None:
    shop = replace(watched(lambda minute, channel: Day()), label=lambda place: f"{place.dimset}={place.value}")
    for hour in range(JUDGED.stop * 24):
        shop.hours.add(hour, 2, fields={cell_field(0, 0, 0): {int(Family.ENTRIES): 40}})
        for manager in (2, 3):
            shop.hours.add(hour, 2, fields={cell_field(manager, 0, 1): {int(Family.ENTRIES): 5}})
    told = {(series.place.dimset, series.place.stage) for series in Normals(shop).series()}
    assert told == {(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (0, 2)}


def test_a_fall_is_told_with_where_it_was_and_what_it_cost() -> None:
    """A tenth of google's leads for twelve hours: some 70 leads, a quarter of whom would have paid 40.00."""
    at_ms = int(38.5 * DAY) * 60_000
    change = watched(
        lambda minute, channel: Day(leads=0.1 if channel == 2 and between(minute, 38, 38.5) else 1), price_minor=4000
    )
    funnel = Funnel.model_validate(
        {"name": "shop", "conversion_window": "1d", "stages": [{"name": name, "on": [name]} for name in STAGES]}
    )
    evidence = FunnelEvidence(funnel, standings(change, at_ms), at_ms, at_ms)
    said = [Annotation("a", at_ms - DAY_MS // 2, "new form"), Annotation("b", 0, "long ago")]
    story = next(one for one in stories_of(evidence, said) if one["name"] == "FunnelConversionDrop")
    assert (story["stage"], story["annotation"], story["leg"]) == ("visit", "new form", "web")
    first = story["contributors"][0]
    assert (first["dim"], first["effect"]) == ("channel=google", "rate")
    assert -0.12 < first["part"] < -0.06
    short = story["baseline"] * story["denominator"] - story["numerator"]
    assert story["missing_minor"] == pytest.approx(short * 0.25 * 4000, rel=0.1)
    hours = (at_ms / 1000 - datetime.fromisoformat(story["since"]).timestamp()) / 3600
    assert story["missing_minor_per_hour"] == pytest.approx(story["missing_minor"] / hours, rel=0.02)
    for part in (
        "would be normal",
        "channel=google -",
        "points (rate)",
        "an hour.",
        "new form",
        "backtest --from-kafka",
    ):
        assert part in story["text"]
    for threshold, speaks in ((story["evidence"], True), (story["evidence"] + 0.01, False)):
        judged = replace(evidence, threshold=threshold)
        told = (*alerts_now(judged)["alerts"], *stories_of(judged))
        assert [one["name"] for one in told if not one["dim"]].count("FunnelConversionDrop") == 2 * speaks


def test_a_broken_tag_is_named_and_mutes_what_follows_from_it() -> None:
    fired = alerts(lambda minute, channel: Day(told=0 if between(minute, 38, 38.5) else 1))
    assert {alert.cause for alert in fired} == {"tracking"}


def test_a_silent_source_is_one_alert() -> None:
    fired = alerts(lambda minute, channel: Day(visits=0 if between(minute, 38, 38.3) else 1))
    assert [(alert.kind, alert.cause) for alert in fired] == [("entries", "silent")]


def test_many_cheap_visitors_call_nobody() -> None:
    fired = alerts(lambda minute, channel: Day(visits=5, leads=0.2) if between(minute, 38, 38.5) else Day())
    assert fired == []


def test_the_threshold_follows_from_the_pages_that_are_wanted() -> None:
    peaks = [2 + 0.1 * number for number in range(100)]
    generous = threshold_for(peaks, months=10, pages_per_month=5)
    strict = threshold_for(peaks, months=10, pages_per_month=0.1)
    assert sum(peak >= generous for peak in peaks) == 50
    assert strict > generous
    assert threshold_for([], months=1, pages_per_month=1) == THRESHOLD_NATS


def test_places_are_known_by_stage_and_value() -> None:
    history = History(currency=0)
    history.add(5, 1, fields={cell_field(2, 0, 1): {int(family(Family.ENTRIES)): 3}})
    history.add(5, 1, fields={cell_field(2, 0, 1): {int(family(Family.ENTRIES)): 4}})
    assert history.entries(Place(1, 2, 1), 4, 7).tolist() == [0, 7, 0]
    assert history.span == (5, 6)
