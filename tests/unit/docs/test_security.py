"""docs/security.md names tests that exist, settings that can be given and requirements of ASVS in their form."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

from typer.testing import CliRunner

from funnelcast.cli import app
from tests.support.rows import rows

ROOT = Path(__file__).parents[3]
DOC = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)*)`", DOC)))


@lru_cache
def names_in(path: Path) -> frozenset[str]:
    """Tests of a file: functions, classes, and methods as Class::method."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            methods = [one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            names |= {node.name, *(f"{node.name}::{name}" for name in methods)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
    return frozenset(names)


@rows("named", NAMED)
def test_a_named_test_exists(named: str) -> None:
    file, _, name = named.partition("::")
    assert (ROOT / file).is_file()
    assert not name or name in names_in(ROOT / file)


def test_every_control_names_its_tests_and_requirements() -> None:
    section = DOC.partition("## Who attacks what")[2].partition("## Persons")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| Attack")]
    assert len(rows) > 15
    for row in rows:
        cells = row.strip("|").split(" | ")
        assert re.fullmatch(r"\d+\.\d+\.\d+(, \d+\.\d+\.\d+)*", cells[2].strip()), row
        assert "`tests/" in cells[3], row


@rows(
    ("command", "options"),
    [
        ("collector", ["--ip", "--deny-properties", "--allow-properties", "--browser-events", "--require-read-key"]),
        ("collector", ["--rate-limit-address", "--rate-limit-key", "--trusted-proxies", "--keep-contacts", "--open"]),
        ("exporter", ["--require-read-key", "--keys"]),
        ("web", ["--require-read-key", "--keys"]),
        (
            "topics create",
            ["--retention", "--retention-rejected", "--retention-late", "--retention-hooks", "--retention-journeys"],
        ),
        ("keys create", ["--origin", "--allow", "--rate", "--app-id", "--scope"]),
    ],
)
def test_a_named_option_can_be_given(command: str, options: list[str]) -> None:
    said = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"}).output
    for option in options:
        assert option in DOC or option in (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
        assert option in said
