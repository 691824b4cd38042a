"""The rule for logs (CONTRIBUTING.md), read from the sources: names of loggers, names of events."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support.rows import rows
from tests.support.sources import ROOT, calls_of, product_files

LEVELS = {"debug", "info", "warning", "error", "exception"}
FILES = [path for path in product_files() if not path.is_relative_to(ROOT / "schemas")]


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@rows("package", ["streams", "producers"])
def test_every_logger_is_named_after_its_package(package: str) -> None:
    loggers = {
        path: _text(call.args[0])
        for path in FILES
        if path.is_relative_to(ROOT / package)
        for call in calls_of(path, {"get_logger"})
    }
    assert loggers
    for path, name in loggers.items():
        assert name == f"funnelcast.{path.relative_to(ROOT / package).with_suffix('').parts[0]}", path


@rows("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_event_is_a_fixed_name_in_snake_case(path: Path) -> None:
    for call in calls_of(path, LEVELS):
        assert isinstance(call.func, ast.Attribute)
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "log":
            assert re.fullmatch(r"[a-z]+(_[a-z]+)*", _text(call.args[0])), f"{path}:{call.lineno}"
            assert len(call.args) == 1, f"{path}:{call.lineno}: what varies is a field"
