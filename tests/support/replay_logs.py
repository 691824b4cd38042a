"""Files of messy events for replays, and the command that replays one."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from funnelcast.chaos.events import START_MS, arrivals, make_events
from tests.support.command import run_command

FUNNEL = str(resources.files("funnelcast") / "data" / "chaos.yaml")
WATERMARK_MS = START_MS + 20 * 86_400_000


def write_log(path: Path, count: int) -> Path:
    """Events of a few days in log order, duplicates and disorder included, a tick among them, and what was spent."""
    log = arrivals(11, make_events(11, count))
    with path.open("wb") as file:
        for number, (received_at_ms, event) in enumerate(log):
            file.write(orjson.dumps(event.native(received_at_ms)) + b"\n")
            if number % 20 == 0:
                file.write(orjson.dumps(spend(number, received_at_ms)) + b"\n")
            if number == len(log) // 2:
                file.write(b'{"tick": %d}\n' % received_at_ms)
    return path


def spend(number: int, received_at_ms: int) -> dict[str, Any]:
    """A statement of one of three campaigns of two days, stated again and again."""
    properties = {"day": f"2025-01-0{1 + number % 40 // 20}", "channel": "google", "campaign": f"c{number % 3}"}
    members = {"id": f"spend-{number}", "name": "ad_spend", "source": "ads", "occurred_at_ms": received_at_ms}
    return {**members, "properties": {**properties, "value": f"{number}.50", "currency": "EUR"}}


def replay(log: Path, state_dir: Path, *more: str) -> bytes:
    arguments = ("replay", "--events", str(log), "--watermark", str(WATERMARK_MS), "--json", *more)
    code, out, err = run_command(*arguments, state_dir=state_dir)
    assert code == 0, err
    return out
