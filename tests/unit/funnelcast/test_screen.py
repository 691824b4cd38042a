"""Whatever a visitor sends, no command's output lets it steer the terminal: every path that shows something is one of
two, and both are tried with the worst."""

from __future__ import annotations

import ast
import io
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import structlog
from rich.table import Table
from rich.text import Text

import funnelcast
from funnelcast.logs import configure_logs
from funnelcast.say import emit, say
from funnelcast.screen import Screen
from tests.support.hostile import HOSTILE
from tests.support.log_lines import plain_log_lines

HOUSE = Path(funnelcast.__file__).parent.parent
WAYS = {"funnelcast/say.py": {"echo"}, "funnelcast/screen.py": {"Console"}}


def _calls(path: Path) -> set[str]:
    """Names of the functions that show something, as far as a module calls them."""
    names: set[str] = set()
    text = path.read_text()
    if not re.search(r"(?:echo|Console|p?print)\(", text):
        return names
    for node in ast.walk(ast.parse(text)):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in ("echo", "secho", "Console"):
            names.add(called.attr)
        elif isinstance(called, ast.Name) and called.id in ("print", "Console", "pprint"):
            names.add(called.id)
    return names


def test_every_command_shows_things_in_one_of_two_ways() -> None:
    for package in ("funnelcast", "streams", "producers", "schemas"):
        for path in (HOUSE / package).rglob("*.py"):
            assert _calls(path) <= WAYS.get(str(path.relative_to(HOUSE)), set()), path


def _steers(text: str) -> list[str]:
    for ours in ("\x1b[1m", "\x1b[3m", "\x1b[0m"):
        text = text.replace(ours, "")
    return [char for char in text if not char.isprintable() and char not in "\n\t"]


def test_tables_titles_and_texts() -> None:
    out = io.StringIO()
    screen = Screen(file=out, force_terminal=True, width=250)
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(f"[bold]{HOSTILE}[/] :heart:")
    for shown in (table, Text(HOSTILE), HOSTILE):
        screen.print(shown)
    assert not _steers(out.getvalue())
    assert "[bold]" in out.getvalue()
    assert ":heart:" in out.getvalue()


def test_lines_and_documents(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    say(f"a {HOSTILE}")
    assert not _steers(capsys.readouterr().out)
    text = HOSTILE.replace("\ud83d", "")
    emit(text)
    assert capsys.readouterr().out == f"{text}\n"  # a pipe gets what there is
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    emit(text)
    assert not _steers(capsys.readouterr().out)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_logs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    try:
        configure_logs()
        log: Any = structlog.get_logger(f"funnelcast.test.{is_terminal}")
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("an_event", detail=HOSTILE)
        lines = capsys.readouterr().err
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        plain_log_lines()
    assert "an_event" in lines
    assert not [char for char in _steers(lines.replace("\x1b[", "")) if char != "\x1b"]
    assert "\x1b]0" not in lines
    assert "\x1b[31mred" not in lines
