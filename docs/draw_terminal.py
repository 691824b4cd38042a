"""Draws docs/pictures/NAME.svg: what commands print, as a terminal shows it.

Run `python docs/draw_terminal.py` after a table was changed. A test compares the committed pictures with what this
script draws. The shop of the reports is simulated and counted in memory, by the same code as in a worker; `replay` and
`import` are run; what commands print of a running installation is printed by their own code of a day that is told here.
The same seed gives the same picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import patch

import orjson
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import RenderableType
from rich.text import Text
from typer.testing import CliRunner

from funnelcast.cli import app
from funnelcast.commands.doctor import line_of
from funnelcast.commands.person import show_tree
from funnelcast.commands.recount import show_outcome
from funnelcast.commands.tail import HEADING, text_of
from funnelcast.diagnosis import Finding
from funnelcast.replay.memory import Refusals, ReplayJob, count_in_memory
from funnelcast.screen import Screen
from funnelcast.tailing import Reader
from producers.simulator.simulator import simulate
from schemas.funnel.load import load_funnel
from schemas.record import EventRecord, encode_event
from streams.people import Entry, Journey, Tree
from streams.recount.comparison import Pair, StageCompared, VersionsCompared
from streams.recount.job import Outcome
from streams.report.document.question import QuestionTexts, ReportQuestion
from streams.report.services.shown import read_shown
from streams.report.tables.report import render_report
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


DAY_MS = 1_793_614_260_000


def pictures() -> dict[str, str]:
    """The text of each picture, by its name."""
    printed = {name: (command, text()) for name, (command, text) in PRINTED.items()}
    return asyncio.run(_pictures()) | {
        name: _svg(name, command, Text(text)) for name, (command, text) in printed.items()
    }


def _run(files: Mapping[str, str], *arguments: str) -> str:
    """What a command prints in a directory that holds these files, and nothing of this machine's settings."""
    clean = {name: None for name in os.environ if name.startswith("FUNNELCAST_")}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, text in files.items():
            Path(name).write_text(text, encoding="utf-8")
        done = CliRunner().invoke(app, arguments, env={**clean, "COLUMNS": str(WIDTH)}, catch_exceptions=False)
    return done.stdout


def _printed(show: Callable[[], object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out, patch.dict(os.environ, COLUMNS=str(WIDTH)):
        show()
    return out.getvalue()


def _replay() -> str:
    events = simulate(seed=7, events=EVENTS, messy=False, start_ms=START_MS)
    lines = "".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE).decode() for event in events)
    return _run({"events.jsonl": lines}, "replay", "--funnel", "sales", "--events", "events.jsonl")


def _import() -> str:
    """Of the table in docs/tutorial.md."""
    tutorial = (FOLDER.parent / "tutorial.md").read_text(encoding="utf-8")
    table = re.search(r"```csv\n(.*?)```", tutorial, flags=re.S)
    if table is None:
        raise SystemExit("docs/tutorial.md has no table")
    suggested = _run({"orders.csv": table[1]}, "import", "--suggest", "orders.csv")
    rules = re.sub(r'"\?\?\? what a row is[^"]*"', "payment", suggested)
    return _run({"orders.csv": table[1], "orders.yaml": rules}, "import", "orders.yaml", "--dry-run")


def _tail() -> str:
    reader = Reader([load_funnel("web")])
    lines = [HEADING]
    for number, (name, path) in enumerate(VISIT):
        event = EventRecord(
            id=f"e-{number}",
            name=name,
            occurred_at_ms=DAY_MS + 9000 * number,
            received_at_ms=DAY_MS + 9000 * number,
            source="web",
            anonymous_id="a3f6c0d1",
            context={"page": {"path": path}},
        )
        line = reader.accepted(encode_event(event))
        lines += [] if line is None else [text_of(line)]
    return "\n".join(lines) + "\n"


VISIT = (
    ("page_view", "/index.html"),
    ("page_view", "/pricing.html"),
    ("engaged", "/pricing.html"),
    ("video_played", "/pricing.html"),
    ("form_submit", "/thanks.html"),
)


def _doctor() -> str:
    found = (
        Finding("funnelcast", "ok", "version 0.1.0, Python 3.11.7"),
        Finding("funnels", "ok", "shop.yaml: shop version 1, 4 stages"),
        Finding("keys", "ok", "keys.json: 2 valid keys"),
        Finding("kafka", "ok", "127.0.0.1:29092 answers"),
        Finding("topics", "ok", "funnelcast.main.events: 4 partitions"),
        Finding("redis", "ok", "answers; its clock agrees with this one"),
        Finding("counting", "ok", "shop@1 is counted by this definition"),
        Finding("counting", "ok", "4 partitions, 123 records, all written just now"),
    )
    return "\n".join([*map(line_of, found), "no problem"]) + "\n"


def _person() -> str:
    lines = (
        ("visit", 0, "advanced", "advanced to engaged 9 s later, within its 30 m"),
        ("engaged", 9_000, "advanced", "advanced to checkout_or_lead 27 s later, within its 1 d"),
        ("checkout_or_lead", 36_000, "advanced", "advanced to payment 1 h 59 m later, within its 7 d"),
        ("payment", 7_200_000, "completed", "it is the last stage"),
    )
    entries = tuple(
        Entry(stage=stage, at_ms=DAY_MS + after_ms, outcome=outcome, reason=None, written_reason="", why=why)
        for stage, after_ms, outcome, why in lines
    )
    journey = Journey("shop@1", "c:d311f79597c0", None, "won", DAY_MS, DAY_MS + 30 * 86_400_000, entries)
    return _printed(lambda: show_tree(Tree("c:d311f79597c0", ["c:d311f79597c0", "a:a3f6c0d1"], [journey])))


def _recount() -> str:
    stages = [
        StageCompared(stage=name, before=True, now=True, numbers={"entries": Pair(before=before, now=now)})
        for name, before, now in (("home", 412, 412), ("pricing", 171, 171), ("thanks", 38, 41))
    ]
    numbers = {"accepted": Pair(before=1_204, now=1_204), "late": Pair(before=0, now=0)}
    compared = VersionsCompared(before="pages@1", now="pages@2", input=numbers, stages=stages, is_equal=False)
    outcome = Outcome(
        "pages@2", "pages@1", 4, 1_239, counting_seconds=0.4, pause_seconds=0.09, is_switched=True, compared=compared
    )
    return _printed(lambda: show_outcome(outcome, 0.9, with_differences=True))


PRINTED: dict[str, tuple[str, Callable[[], str]]] = {
    "replay": ("funnelcast replay --funnel sales --events events.jsonl", _replay),
    "import": ("funnelcast import orders.yaml --dry-run", _import),
    "tail": ("funnelcast tail", _tail),
    "doctor": ("funnelcast doctor", _doctor),
    "person": ("funnelcast person ann@shop.example", _person),
    "recount": ("funnelcast recount pages-2.yaml --compare", _recount),
}


async def _pictures() -> dict[str, str]:
    funnel, space = load_funnel("sales"), MemorySpace(clock_ms=lambda: 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        events = simulate(seed=7, events=EVENTS, messy=False, start_ms=START_MS)
        path.write_bytes(b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events))
        job = ReplayJob(funnels=(funnel,), references=("sales",), events=path)
        await count_in_memory(job, Refusals(path), space=space)
    drawn = {}
    for name, (command, asked) in PICTURES.items():
        question = ReportQuestion.parse(funnel, asked, now_ms=0)
        sort = "revenue" if "--sort" in command else None
        shown = await read_shown(MemoryCounterReader(space), question, sort=sort, top=None, now_ms=0, is_cut=True)
        table = render_report(funnel, shown.document, arrangement=shown.arrangement, trends=shown.trends)
        drawn[name] = _svg(name, command, table)
    return drawn


def _svg(name: str, command: str, table: RenderableType) -> str:
    screen = Screen(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor")
    screen.print(table)
    return screen.export_svg(title=command, code_format=_FORMAT, unique_id=name)


def main() -> None:
    """Write the pictures."""
    FOLDER.mkdir(exist_ok=True)
    drawn = pictures()
    for name, text in drawn.items():
        (FOLDER / f"{name}.svg").write_text(text, encoding="utf-8")
    print(f"{len(drawn)} pictures written to {FOLDER.name}/")


if __name__ == "__main__":
    main()
