"""Effective settings are logged and printed with their sources, and nothing secret with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from funnelcast.commands.config import app
from funnelcast.settings.catalogue import all_settings, settings_of
from funnelcast.settings.load import load_settings
from funnelcast.settings.processes import ALL, CollectorSettings
from funnelcast.settings.sections import LinkSettings, Settings
from funnelcast.settings.setting import without_credentials
from funnelcast.settings.show import log_settings
from funnelcast.settings.show import rows as shown_rows
from tests.support.log_lines import plain_log_lines
from tests.support.rows import rows

HIDDEN = "SENTINEL"


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for setting in all_settings().values():
        monkeypatch.delenv(setting.variable, raising=False)
    yield
    plain_log_lines()


def logged(settings: Settings) -> Any:
    with capture_logs() as events:
        log_settings(settings)
    (event,) = events
    return event


def test_one_event_says_every_value_and_the_source_of_each_that_is_no_default() -> None:
    Path("funnelcast.toml").write_text("space = 'shop'\n")
    environment = {"FUNNELCAST_COLLECTOR__MAX_EVENTS": "5"}
    settings = load_settings(CollectorSettings, {"port": "81"}, environment=environment)
    event = logged(settings)
    assert (event["event"], event["log_level"]) == ("settings", "info")
    assert event["sources"] == {
        "space": "funnelcast.toml: space",
        "collector.port": "--port",
        "collector.max_events": "FUNNELCAST_COLLECTOR__MAX_EVENTS",
    }
    assert set(event["values"]) == {setting.key for setting in settings_of(CollectorSettings)}
    assert (event["values"]["collector.port"], event["values"]["funnels"]) == (81, ["sales", "web"])
    json.dumps(event)


def test_nothing_secret_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each text is an address with a password, each secret is one: of every setting that could hold either."""
    for setting in all_settings().values():
        if setting.facts.is_secret:
            monkeypatch.setenv(setting.variable, HIDDEN)
        elif setting.value_type in (str, Path, tuple[str, ...]) and setting.facts.check is None:
            address = f"redis://user:{HIDDEN}@host:1/0?password={HIDDEN},other:{HIDDEN}@host:2"
            monkeypatch.setenv(setting.variable, address)
    for kind in ALL:
        assert (
            HIDDEN in repr(load_settings(kind)) or kind is LinkSettings
        )  # its addresses are checked, so not set above
        assert HIDDEN not in str(logged(load_settings(kind)))
    for arguments in ([], ["--json"]):
        printed = CliRunner().invoke(app, arguments, catch_exceptions=False).output
        assert HIDDEN not in printed
        assert "***" in printed


@rows(
    ("text", "shown"),
    [
        ("redis://127.0.0.1:6379/1", "redis://127.0.0.1:6379/1"),
        ("redis://:se/cr@et@h:1", "redis://***@h:1"),
        ("user:secret@h:9092", "***@h:9092"),
        ("redis://h:1?db=1&Password=secret&x=2", "redis://h:1?db=1&Password=***&x=2"),
        ("main", "main"),
    ],
)
def test_credentials_of_an_address_are_masked(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


def test_the_command_prints_what_is_in_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("funnelcast.toml").write_text("[worker]\nmax_persons = 7\n")
    monkeypatch.setenv("FUNNELCAST_CONTACT_KEY", "secret")
    printed = json.loads(CliRunner().invoke(app, ["--json"], catch_exceptions=False).stdout)
    assert list(printed) == list(all_settings())
    assert printed["worker.max_persons"] == {"value": 7, "source": "funnelcast.toml: worker.max_persons"}
    assert printed["contact_key"] == {"value": "***", "source": "FUNNELCAST_CONTACT_KEY"}
    assert printed["watermark_delay"] == {"value": "1m", "source": "default"}
    table = CliRunner().invoke(app, ["worker"], catch_exceptions=False).stdout
    assert "funnelcast.toml: worker.max_persons" in table
    assert "collector.port" not in table


def test_rows_have_the_order_of_the_fields() -> None:
    assert [row.key for row in shown_rows(CollectorSettings())] == [each.key for each in settings_of(CollectorSettings)]
