"""Every setting from a flag, from the environment and from the file alike; a mistake is named with its place."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from funnelcast.commands.options import with_settings
from funnelcast.settings import SettingsError
from funnelcast.settings.catalogue import all_settings, settings_of
from funnelcast.settings.load import load_settings
from funnelcast.settings.processes import (
    ALL,
    CollectorSettings,
    EnricherSettings,
    ExporterSettings,
    TickerSettings,
)
from funnelcast.settings.sections import ClientSettings, Settings
from funnelcast.settings.setting import Setting
from tests.support.rows import rows
from tests.support.thorough import some
from tests.unit.funnelcast.settings.values import toml, value, written


def kind_of(setting: Setting) -> type[Settings]:
    return next(kind for kind in ALL if setting in settings_of(kind))


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in [each.variable for each in all_settings().values()]:
        monkeypatch.delenv(variable, raising=False)


COMMANDS: dict[str, tuple[Any, list[Settings]]] = {}


def command_of(kind: type[Settings]) -> tuple[Any, list[Settings]]:
    """A command with these settings, and what it was given; made once: a hundred tests run it."""
    if kind.__name__ not in COMMANDS:
        loaded: list[Settings] = []
        app = typer.Typer()
        app.command()(with_settings(kind)(loaded.append))
        COMMANDS[kind.__name__] = typer.main.get_command(app), loaded
    return COMMANDS[kind.__name__]


def run(kind: type[Settings], *arguments: str, env: dict[str, str] | None = None) -> Settings:
    """What a command with these settings gets."""
    command, loaded = command_of(kind)
    with pytest.MonkeyPatch.context() as patch:
        for name, text in (env or {}).items():
            patch.setenv(name, text)
        command.main(list(arguments), standalone_mode=False)
    return loaded.pop()


def flag(setting: Setting, number: int) -> list[str]:
    text = written(setting, number)
    if setting.value_type is bool:
        return [setting.flag if text == "true" else setting.flag.replace("--", "--no-", 1)]
    return [setting.flag, text]


@rows("key", some(all_settings(), every=6))
def test_a_flag_comes_before_the_environment_before_the_file_before_the_default(key: str) -> None:
    setting = all_settings()[key]
    kind, environment = kind_of(setting), {setting.variable: written(setting, 1)}

    def effective(*arguments: str, env: dict[str, str] | None = None) -> tuple[Any, str]:
        settings = run(kind, *arguments, env=env)
        return getattr(settings, setting.attribute), settings.sources.get(key, "default")

    assert effective() == (setting.default, "default")
    Path("funnelcast.toml").write_text(toml(setting, 0))
    assert effective() == (value(setting, 0), f"funnelcast.toml: {key}")
    assert effective(env=environment) == (value(setting, 1), setting.variable)
    if setting.facts.has_flag:
        assert effective(*flag(setting, 2), env=environment) == (value(setting, 2), setting.flag)


def test_only_the_secrets_of_the_installation_have_no_flag() -> None:
    secrets = {key for key, setting in all_settings().items() if not setting.facts.has_flag}
    assert secrets == {"contact_key", "kafka_password", "redis_password"}


def test_every_section_is_part_of_some_process() -> None:
    def below(kind: type[Settings]) -> set[type[Settings]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    fields = {field.name for kind in below(Settings) for field in dataclasses.fields(kind)} - {"sources"}
    assert fields == {setting.attribute for setting in all_settings().values()}


def test_settings_cannot_be_changed() -> None:
    settings: Any = load_settings(TickerSettings)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.every = 1.0


def test_a_file_can_be_named_by_flag_or_variable_and_must_be_there(tmp_path: Path) -> None:
    Path("funnelcast.toml").write_text("space = 'here'\n")
    named = tmp_path / "other.toml"
    named.write_text("space = 'other'\n")
    assert load_settings(TickerSettings).space == "here"
    assert load_settings(TickerSettings, environment={"FUNNELCAST_CONFIG": str(named)}).space == "other"
    assert run(TickerSettings, "--config", str(named)).sources == {"space": f"{named}: space"}
    with pytest.raises(SettingsError, match=r"none\.toml: there is no such file"):
        load_settings(TickerSettings, file=Path("none.toml"))


def test_an_empty_variable_is_not_set() -> None:
    assert load_settings(CollectorSettings, environment={"FUNNELCAST_KEYS": ""}).keys is None


@rows(
    ("variable", "text", "says"),
    [
        ("TICKER__EVERY", "soon", "write a number (seconds), 0.1 or more, not 'soon'"),
        ("TICKER__EVERY", "nan", "write a number (seconds), 0.1 or more, not 'nan'"),
        ("TICKER__EVERY", "0", "write a number (seconds), 0.1 or more, not '0'"),
        ("SPACE", "Main!", "space 'Main!' must be 1-64 of"),
        ("COLLECTOR__PORT", "70000", "write a whole number (port) from 0 to 65535, not '70000'"),
        ("COLLECTOR__OPEN", "perhaps", "write true or false, not 'perhaps'"),
        (
            "COLLECTOR__TRUSTED_PROXIES",
            "x",
            "'x' does not appear to be an IPv4 or IPv6 network; write networks",
        ),
        ("IP", "hash", "write drop or truncate or keep, not 'hash'"),
        ("WATERMARK_DELAY", "soon", "write a duration, e.g. 500ms, 30s, 1m or 7d, not 'soon'"),
        ("KAKFA", "h:1", "unknown setting; unset it (did you mean 'FUNNELCAST_KAFKA'?)"),
        ("KAFKA_SASL_USER", "x", "unknown setting; unset it (did you mean 'FUNNELCAST_KAFKA_USER'?)"),
        ("REDIS_PASS", "x", "unknown setting; unset it (did you mean 'FUNNELCAST_REDIS_PASSWORD'?)"),
        ("WORKER__PERSONS", "1", "unknown setting; unset it (did you mean 'FUNNELCAST_WORKER__MAX_PERSONS'?)"),
        ("EVERY", "5", "unknown setting; unset it (did you mean 'FUNNELCAST_CANARY__EVERY' or "),
        ("EXPORTER__TARGETS", "f", "unknown setting; unset it (did you mean 'FUNNELCAST_TARGETS'?)"),
        ("COLLECTOR_PORT", "81", "unknown setting; unset it (did you mean 'FUNNELCAST_COLLECTOR__PORT'?)"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(variable: str, text: str, says: str) -> None:
    def load_all() -> None:
        for kind in ALL:
            load_settings(kind, environment={f"FUNNELCAST_{variable}": text})

    with pytest.raises(SettingsError) as caught:
        load_all()
    assert str(caught.value).startswith(f"FUNNELCAST_{variable}: {says}")
    assert caught.value.exit_code == 2


@rows(
    ("text", "says"),
    [
        ("spool_byts = 1", "spool_byts: unknown setting; remove it (did you mean 'spool_bytes'?)"),
        (
            "port = 1",
            "port: unknown setting; remove it (did you mean 'collector.port' or 'exporter.port' or 'web.port'?)",
        ),
        ("[collector]\nkafka = 'h:1'", "collector.kafka: unknown setting; remove it (did you mean 'kafka'?)"),
        ("[colector]\nport = 1", "colector: unknown setting; remove it (did you mean 'collector'?)"),
        ("[collector]\nprot = 1", "collector.prot: unknown setting; remove it (did you mean 'collector.port'?)"),
        ("collector = 1", "collector: must be a table; write [collector] and its settings below"),
        ("[collector]\nport = '8o'", "collector.port: write a whole number (port) from 0 to 65535, not '8o'"),
        ("[collector]\nport = true", "collector.port: write a whole number (port) from 0 to 65535, not True"),
        ("[collector]\nopen = 1.5", "collector.open: write true or false, not 1.5"),
        ("funnels = [1]", "funnels: write a text, not [1]"),
        ("kafka = ", "is not TOML: "),
    ],
)
def test_a_mistake_in_the_file_names_file_and_key(text: str, says: str) -> None:
    Path("f.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(CollectorSettings, file=Path("f.toml"))
    assert str(caught.value).startswith(f"f.toml: {says}")


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(ExporterSettings, {"port": "x", "time_box": "0", "redis": "redis://h"})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["--port", "--time-box"]


def test_variables_of_others_with_our_prefix_are_left_alone() -> None:
    """Compose files and Kubernetes services bring their own."""
    others = (
        "FUNNELCAST_WEBHOOKS_DIR",
        "FUNNELCAST_KAFKA_PORT",
        "FUNNELCAST_KAFKA_PORT_9092_TCP_ADDR",
        "FUNNELCAST_KAFKA_SERVICE_HOST",
        "FUNNELCAST_REDIS_SERVICE_PORT_REDIS",
        "FUNNELCAST_COLLECTOR_PORT",
        "FUNNELCAST_SERVICE_HOST",
    )
    environment = dict.fromkeys(others, "tcp://10.0.0.1:80")
    assert load_settings(CollectorSettings, environment=environment) == CollectorSettings()


def test_what_is_shared_is_set_once_for_all_processes() -> None:
    environment = {"FUNNELCAST_MAX_EVENT_BYTES": "65536", "FUNNELCAST_PHONE_REGION": "GR"}
    for kind in (CollectorSettings, EnricherSettings):
        settings = load_settings(kind, environment=environment)
        assert (settings.max_event_bytes, settings.phone_region) == (65_536, "GR")


def test_what_is_a_process_s_own_is_set_for_it_alone() -> None:
    environment = {"FUNNELCAST_COLLECTOR__PORT": "81"}
    assert load_settings(CollectorSettings, environment=environment).port == 81
    assert load_settings(ExporterSettings, environment=environment).port == ExporterSettings().port


def test_a_mistake_in_a_secret_is_told_without_it() -> None:
    Path("f.toml").write_text("key = 4711\n")
    with pytest.raises(SettingsError, match="key: write a text") as caught:
        load_settings(ClientSettings, file=Path("f.toml"))
    assert "4711" not in str(caught.value)
