"""docs/architecture.md and its picture: drawn from the code as it is, and every file they name exists."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

from tests.support.rows import rows

ROOT = Path(__file__).parents[3]
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
HOUSES = ("producers", "streams")


def test_the_picture_is_the_one_of_the_code() -> None:
    drawn, committed = SCRIPT["draw"](), (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    assert drawn == committed, "run: python docs/draw_architecture.py"


@rows("house", HOUSES)
def test_every_package_has_a_room_and_says_what_it_is(house: str) -> None:
    rooms = {room.name: room for room in SCRIPT["rooms"](house)}
    packages = {path.parent.name for path in (ROOT / house).glob("*/__init__.py")}
    assert packages <= set(rooms)
    assert not [name for name, room in rooms.items() if not SCRIPT["purpose"](room)]


@rows("house", HOUSES)
def test_no_room_uses_one_of_its_own_floor_or_above(house: str) -> None:
    level = {name: number for number, names in enumerate(SCRIPT["floors"](house)) for name in names}
    climbs = [
        (room.name, used)
        for room in SCRIPT["rooms"](house)
        for used in SCRIPT["uses"](room)
        if level[used] <= level[room.name]
    ]
    assert climbs == []


def test_every_file_of_the_way_of_an_event_exists_and_passes_both_houses() -> None:
    route = SCRIPT["route"]()
    assert len(route) >= 8
    assert all((ROOT / file).is_file() for file in route)
    assert {file.split("/")[0] for file in route} == {"schemas", *HOUSES}


def test_every_path_that_the_page_names_exists() -> None:
    linked = [(ROOT / "docs" / target) for target in re.findall(r"\]\(([^)#:]+)\)", PAGE)]
    named = [
        ROOT / text for text in re.findall(r"`((?:schemas|producers|streams|funnelcast|tests|deploy)/[\w./]+)`", PAGE)
    ]
    missing = [str(path) for path in linked + named if not path.exists()]
    assert missing == []
