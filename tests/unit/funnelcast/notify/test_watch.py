"""Who is notified of which alert, and when; and a file of destinations that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from funnelcast.notify.destinations import _FILE, Destinations, DestinationsError, usable_destinations
from funnelcast.notify.watch import Watch
from schemas.times import HOUR_MS, MINUTE_MS
from tests.support.rows import rows

FILE = """
timezone: Europe/Athens
quiet: 22:00-08:00
destinations:
  - {name: owner, email: o@shop.example, smtp: smtp://mail.example, alerts: critical}
  - {name: team, webhook: env:SLACK}
  - {name: archive, webhook: env:OTHER, alerts: none}
"""
NOON_MS = 1_735_725_600_000  # 2025-01-01 12:00 in Athens
NIGHT_MS = NOON_MS + 11 * HOUR_MS


def destinations() -> Destinations:
    return _FILE.parse(FILE, origin="notify.yaml")


def story(severity: str, name: str = "FunnelConversionDrop") -> Any:
    return {"funnel": "shop", "name": name, "stage": "visit", "dim": "", "severity": severity, "text": name}


def told(watch: Watch, stories: list[Any], at_ms: int) -> list[tuple[str, bool, tuple[str, ...]]]:
    return [(one.story["severity"], one.is_over, one.to) for one in watch.look(stories, at_ms)]


def test_an_alert_is_told_once_and_its_end_once() -> None:
    watch = Watch(destinations())
    assert told(watch, [story("critical")], NOON_MS) == [("critical", False, ("owner", "team"))]
    assert told(watch, [story("critical"), story("none", "X")], NOON_MS + MINUTE_MS) == []
    assert told(watch, [], NOON_MS + 30 * MINUTE_MS) == []
    (over,) = watch.look([], NOON_MS + 63 * MINUTE_MS)
    assert (over.is_over, set(over.to)) == (True, {"owner", "team"})
    assert told(watch, [story("warning")], NOON_MS + 2 * HOUR_MS) == [("warning", False, ("team",))]


def test_quiet_hours_wake_nobody_but_for_what_is_critical() -> None:
    watch = Watch(destinations())
    both = [story("critical"), story("warning", "FunnelEntriesDrop")]
    assert told(watch, both, NIGHT_MS) == [("critical", False, ("owner", "team"))]
    assert told(watch, [story("critical")], NIGHT_MS + 2 * HOUR_MS) == []  # the warning is over, and nobody knows of it
    morning_ms = NIGHT_MS + 9 * HOUR_MS + MINUTE_MS
    assert told(watch, [story("critical")], morning_ms) == [("warning", True, ("team",))]


@rows(
    ("changed", "says"),
    [
        (("22:00-08:00", "10pm"), "no span of a day"),
        (("Europe/Athens", "Athens"), "no time zone"),
        (("env:SLACK", "https://hooks.example/secret"), "a secret stands elsewhere"),
        (("smtp://mail.example", "mail.example"), "no mail server"),
        (("email: o@shop.example, smtp: smtp://mail.example, ", ""), "write email"),
        (("alerts: critical", "alert: critical"), "alerts"),
        (("22:00-08:00", "08:00-08:00"), "no span of a day"),
        (("smtp://mail.example", "smtp://mail.example:99999"), "no mail server"),
        (("smtp://mail.example", "smtp://owner:pass@mail.example"), "leave it out here"),
        (("smtp://mail.example", "smtp://owner@mail.example"), "needs a password"),
        (("o@shop.example", "o"), "no mailbox"),
    ],
)
def test_a_wrong_file_says_what_to_write(changed: tuple[str, str], says: str) -> None:
    with pytest.raises(DestinationsError, match=says) as error:
        _FILE.parse(FILE.replace(*changed), origin="notify.yaml")
    assert "secret" not in str(error.value).replace("a secret stands", "").replace("/run/secrets", "")


def test_a_secret_that_is_not_there_is_said_before_anything_is_told(tmp_path: Path) -> None:
    (tmp_path / "notify.yaml").write_text(FILE)
    with pytest.raises(DestinationsError, match="no OTHER"):
        usable_destinations(tmp_path / "notify.yaml", {"SLACK": "https://hooks.example/x"})
    with pytest.raises(DestinationsError, match="env:SLACK holds is no address"):
        usable_destinations(tmp_path / "notify.yaml", {"SLACK": "hooks", "OTHER": "https://hooks.example/x"})
