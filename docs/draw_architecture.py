"""Draws docs/architecture.svg from the code: floors from the import contracts, rooms and their uses from the packages.

Run `python docs/draw_architecture.py` after a package was added, moved or got another import. A test compares the
committed picture with what this script draws. It reads pyproject.toml, README.md and the sources; it imports none of
them, and writes nothing but the picture.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
HOUSE_WIDTH, ROOM_HEIGHT, GAP, LINE, TITLE = 700, 96, 10, 13, 34
KAFKA_WIDTH = 110
LEFT = {"producers": 20, "streams": 20 + HOUSE_WIDTH + KAFKA_WIDTH}
WIDTH = LEFT["streams"] + HOUSE_WIDTH + 20
TOP = 96
LETTERS_PER_PIXEL = 1 / 6.1
COLOURS = {"producers": "#e8f1fb", "streams": "#eaf6ec"}
ROUTE = "#c2410c"


@dataclass(frozen=True)
class Room:
    """A package or module of a house, and where its box lies, in pixels."""

    house: str
    name: str
    x: float
    y: float
    width: float

    @property
    def path(self) -> Path:
        """Folder or file of the room."""
        folder = ROOT / self.house / self.name
        return folder if folder.is_dir() else folder.with_suffix(".py")


def floors(house: str) -> list[list[str]]:
    """The rooms of each floor, top floor first, as the layers contract of the house states them."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in configuration["tool"]["importlinter"]["contracts"]:
        if contract.get("containers") == [house]:
            return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    raise SystemExit(f"pyproject.toml: no layers contract with containers = [{house!r}]")


def rooms(house: str) -> Iterator[Room]:
    """Every room of a house with its place; rooms of one floor share the width."""
    for level, names in enumerate(floors(house)):
        width = (HOUSE_WIDTH - GAP * (len(names) + 1)) / len(names)
        for column, name in enumerate(names):
            x = LEFT[house] + GAP + column * (width + GAP)
            yield Room(house, name, x, TOP + TITLE + level * (ROOM_HEIGHT + GAP), width)


def sources(room: Room) -> list[Path]:
    """The Python files of a room."""
    return sorted(room.path.rglob("*.py")) if room.path.is_dir() else [room.path]


def purpose(room: Room) -> str:
    """First sentence of the docstring of the package or module."""
    file = room.path / "__init__.py" if room.path.is_dir() else room.path
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=[.])\s", " ".join(text.split()), maxsplit=1)[0].rstrip(".:;")


@cache
def uses(room: Room) -> list[str]:
    """Other rooms of the same house that this room imports."""
    names: set[str] = set()
    for file in sources(room):
        for node in _statements(ast.parse(file.read_text(encoding="utf-8")).body):
            names |= {module.split(".")[1] for module in _imported(node) if module.startswith(f"{room.house}.")}
    return sorted(names - {room.name})


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements and those within; nothing is imported inside of an expression."""
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, ()))
        for handler in getattr(statement, "handlers", ()):
            yield from _statements(handler.body)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module] if "." in node.module else [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def route() -> list[str]:
    """The files of "Follow one event" in README.md, in order."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Follow one event", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"\]\(([a-z_/0-9]+\.py)\)", section)


def draw() -> str:
    """The picture as SVG text."""
    everything = {house: list(rooms(house)) for house in LEFT}
    bottom = max(room.y for house in everything.values() for room in house) + ROOM_HEIGHT + GAP
    height = bottom + 150
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
        f'height="{height:g}" font-family="system-ui, sans-serif" font-size="12">',
        "<title>funnelcast: the packages, what each uses, and the way of one event</title>",
        f'<rect width="{WIDTH}" height="{height:g}" fill="#ffffff"/>',
        *_slab(20, 14, "funnelcast", "the command: composes processes, runs demo, replay, chaos and fuzz"),
        *_slab(20, bottom + 20, "schemas", "the published language: event, funnel, topics, reasons; imports nothing"),
    ]
    for house, here in everything.items():
        parts += _house(house, bottom)
        for room in here:
            parts += _room(room)
    parts += _between(bottom)
    parts += _route([room for here in everything.values() for room in here], bottom)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _slab(x: float, y: float, name: str, text: str) -> list[str]:
    return [
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH - 2 * x:g}" height="56" rx="6" fill="#f6f3ea" stroke="#8a8370"/>',
        f'<text x="{x + 12:g}" y="{y + 24:g}" font-size="15" font-weight="600">{name}/</text>',
        f'<text x="{x + 12:g}" y="{y + 43:g}" fill="#444">{escape(text)}</text>',
    ]


def _house(house: str, bottom: float) -> list[str]:
    x = LEFT[house]
    return [
        f'<rect x="{x}" y="{TOP - 8}" width="{HOUSE_WIDTH}" height="{bottom - TOP + 8:g}" rx="8" '
        f'fill="{COLOURS[house]}" stroke="#5b6b7b"/>',
        f'<text x="{x + 12}" y="{TOP + 16}" font-size="16" font-weight="600">{house}/</text>',
    ]


def _room(room: Room) -> list[str]:
    letters = int((room.width - 16) * LETTERS_PER_PIXEL)
    lines = textwrap.wrap(purpose(room), letters, max_lines=3, placeholder=" …")
    used = textwrap.wrap("uses " + ", ".join(uses(room)), letters, max_lines=2, placeholder=" …") if uses(room) else []
    parts = [
        f'<rect x="{room.x:g}" y="{room.y:g}" width="{room.width:g}" height="{ROOM_HEIGHT}" rx="5" '
        'fill="#ffffff" stroke="#7d8b99"/>',
        f'<text x="{room.x + 8:g}" y="{room.y + 18:g}" font-size="14" font-weight="600">{room.name}</text>',
    ]
    for number, line in enumerate(lines):
        parts.append(f'<text x="{room.x + 8:g}" y="{room.y + 34 + number * LINE:g}" fill="#333">{escape(line)}</text>')
    for number, line in enumerate(used):
        y = room.y + ROOM_HEIGHT - 6 - (len(used) - 1 - number) * (LINE - 2)
        parts.append(f'<text x="{room.x + 8:g}" y="{y:g}" font-size="11" fill="#667">{escape(line)}</text>')
    return parts


def _between(bottom: float) -> list[str]:
    """Kafka and Redis between the houses, with what goes in and out."""
    x, width = LEFT["producers"] + HOUSE_WIDTH + 12, KAFKA_WIDTH - 24
    upper, lower = TOP + 250, bottom - 190
    parts = [
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{ROUTE}"/></marker></defs>'
    ]
    for y, name, topics in (
        (upper, "Kafka", ("events", "rejected", "late")),
        (lower, "Redis", ("cursor", "persons", "cells")),
    ):
        parts.append(f'<rect x="{x}" y="{y:g}" width="{width}" height="100" rx="10" fill="#222"/>')
        for number, text in enumerate((name, *topics)):
            weight = 'font-weight="600" fill="#fff"' if not number else 'fill="#ddd"'
            parts.append(
                f'<text x="{x + width / 2:g}" y="{y + 24 + 20 * number:g}" {weight} text-anchor="middle">{text}</text>'
            )
    left, right = x - 12, x + width + 12
    for x1, x2, y in ((left, x, upper + 50), (x + width, right, upper + 50), (right, x + width, lower + 35)):
        parts.append(_arrow(x1, x2, y))
    return [*parts, _arrow(x + width, right, lower + 65)]


def _arrow(x1: float, x2: float, y: float) -> str:
    ends = f'x1="{x1:g}" y1="{y:g}" x2="{x2:g}" y2="{y:g}"'
    return f'<line {ends} stroke="{ROUTE}" stroke-width="2" marker-end="url(#tip)"/>'


def _route(everything: Sequence[Room], bottom: float) -> list[str]:
    """Numbered circles on the rooms that an event passes; schemas is the slab below. Then the list of their files."""
    taken: dict[str, int] = {}
    parts: list[str] = []
    for number, file in enumerate(route(), 1):
        home = next((room for room in everything if file.startswith(f"{room.house}/{room.name}")), None)
        key = home.house + home.name if home else ""
        shift = taken.get(key, 0) * 26
        taken[key] = taken.get(key, 0) + 1
        x, y = (home.x + home.width - 16 - shift, home.y + 16) if home else (WIDTH - 50, bottom + 48)
        parts += _step(x, y, number)
    column, rows = (WIDTH - 40) / 5, -(-len(route()) // 5)
    for number, file in enumerate(route(), 1):
        place, row = divmod(number - 1, rows)
        x, y = 32 + place * column, bottom + 100 + 26 * row
        parts += _step(x, y, number)
        parts.append(f'<text x="{x + 16:g}" y="{y + 4:g}">{file}</text>')
    return parts


def _step(x: float, y: float, number: int) -> list[str]:
    return [
        f'<circle cx="{x:g}" cy="{y:g}" r="10" fill="{ROUTE}"/>',
        f'<text x="{x:g}" y="{y + 4:g}" fill="#fff" font-weight="600" text-anchor="middle">{number}</text>',
    ]


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)} written\n")
