"""The product's source for tests that hold a rule on it. What is parsed is dropped, for garbage collection sees it; a
rule says by a word which files it can concern at all, for parsing them all takes a second."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "producers", "streams", "funnelcast")


@cache
def product_files() -> tuple[Path, ...]:
    """Every Python file of the four packages."""
    return tuple(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))


def statements_of(path: Path, holding: str = "") -> Iterator[ast.stmt]:
    """Every statement of a file: what it imports, defines and assigns, without what stands inside of expressions. None
    where the text holds nothing of this pattern."""
    text = path.read_text(encoding="utf-8")
    return statements_in(ast.parse(text).body) if re.search(holding, text) else iter(())


def statements_in(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements and those within."""
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from statements_in(getattr(statement, name, ()))
        for inner in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from statements_in(inner.body)


def calls_of(path: Path, methods: set[str]) -> list[ast.Call]:
    """The calls of these methods in a file."""
    text = path.read_text(encoding="utf-8")
    if not any(f".{method}(" in text for method in methods):
        return []
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in methods]
