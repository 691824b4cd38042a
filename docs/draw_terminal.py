"""Draws docs/pictures/NAME.svg: what `funnelcast report` prints of a simulated shop, as a terminal shows it.

Run `python docs/draw_terminal.py` after a table was changed. A test compares the committed pictures with what this
script draws. The shop is counted in memory, by the same code as in a worker; the same seed gives the same picture.
"""

from __future__ import annotations

import asyncio
import io
import re
import tempfile
from pathlib import Path

import orjson
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import RenderableType

from funnelcast.replay.memory import Refusals, ReplayJob, count_in_memory
from funnelcast.screen import Screen
from producers.simulator.simulator import simulate
from schemas.funnel.load import load_funnel
from streams.report.question import QuestionTexts, ReportQuestion
from streams.report.shown import read_shown
from streams.report.table import render_report
from streams.store.memory import MemoryCounterReader, MemorySpace

FOLDER = Path(__file__).resolve().parent / "pictures"
EVENTS, START_MS, WIDTH = 8_000, 1_735_689_600_000, 170
PICTURES: dict[str, tuple[str, QuestionTexts]] = {
    "report": ("funnelcast report", {}),
    "report-channels": ("funnelcast report --dim channel --sort revenue", {"dim": "channel"}),
    "report-weeks": ("funnelcast report --grain week", {"grain": "week"}),
}
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.S)
"""Without fonts from elsewhere: a picture asks nobody."""


def pictures() -> dict[str, str]:
    """The text of each picture, by its name."""
    return asyncio.run(_pictures())


async def _pictures() -> dict[str, str]:
    funnel, space = load_funnel("sales"), MemorySpace(clock_ms=lambda: 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        events = simulate(seed=7, events=EVENTS, messy=False, start_ms=START_MS)
        path.write_bytes(b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events))
        job = ReplayJob(funnels=(funnel,), references=("sales",), events=path)
        await count_in_memory(job, Refusals(path), space)
    drawn = {}
    for name, (command, asked) in PICTURES.items():
        question = ReportQuestion.parse(funnel, asked, now_ms=0)
        sort = "revenue" if "--sort" in command else None
        shown = await read_shown(MemoryCounterReader(space), question, sort=sort, top=None, now_ms=0, is_cut=True)
        table = render_report(funnel, shown.document, shown.arrangement, shown.trends)
        drawn[name] = _svg(name, command, table)
    return drawn


def _svg(name: str, command: str, table: RenderableType) -> str:
    screen = Screen(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor")
    screen.print(table)
    return screen.export_svg(title=command, code_format=_FORMAT, unique_id=name)


def main() -> None:
    """Write the pictures."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pictures().items():
        (FOLDER / f"{name}.svg").write_text(text, encoding="utf-8")
    print(f"{len(PICTURES)} pictures written to {FOLDER.name}/")


if __name__ == "__main__":
    main()
