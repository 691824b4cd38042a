"""The help of every command, as a terminal shows it."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from funnelcast.cli import COMMANDS, load_command
from funnelcast.cli import app as root


def every_command() -> list[list[str]]:
    return [[name, *inner] for name in COMMANDS for inner in _inner(name)]


def _inner(name: str) -> list[list[str]]:
    module: Any = importlib.import_module(COMMANDS[name][0])
    command: Any = typer.main.get_command(module.app)
    return [[name] for name in command.commands] if hasattr(command, "commands") else [[]]


def _texts(names: list[str]) -> list[str]:
    """Flags and variables that the help of a command has to show."""
    command: Any = load_command(names[0])
    for name in names[1:]:
        command = command.commands[name]
    flags = [flag for each in command.params if not each.hidden for flag in each.opts if flag.startswith("-")]
    return [*flags, *re.findall(r"FUNNELCAST_\w+", " ".join(str(getattr(each, "help", "")) for each in command.params))]


@pytest.mark.parametrize("names", every_command(), ids=" ".join)
def test_no_terminal_cuts_a_name_of_the_help(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        shown = CliRunner().invoke(root, [*names, "--help"], catch_exceptions=False).output
        assert [text for text in _texts(names) if text not in shown] == [], width
        assert "…" not in shown
        assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("names", every_command(), ids=" ".join)
def test_help_shows_defaults_and_no_type_of_a_flag(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(root, [*names, "--help"], catch_exceptions=False).output
    assert "Usage: " in shown
    assert "bool" not in shown
    if names == ["collector"]:
        assert "[default: 8080]" in shown
        assert "[env: FUNNELCAST_COLLECTOR__PORT]" in shown
        assert "[default: 1048576]" in shown
        assert "--strict-names" in shown


def test_the_program_completes_and_its_commands_stand_in_groups() -> None:
    shown = CliRunner().invoke(root, ["--help"], catch_exceptions=False).output
    assert "--install-completion" in shown
    assert [group in shown for group in ("─ Run ─", "─ Look ─", "─ Data ─", "─ Operate ─")] == [True] * 4
    for name in ("stack", "demo"):
        assert "--install-completion" not in CliRunner().invoke(root, [name, "--help"], catch_exceptions=False).output
