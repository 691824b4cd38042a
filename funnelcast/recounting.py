"""What a recount shows while it works: a bar with rate and time left on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from funnelcast.say import say
from funnelcast.screen import Screen
from streams.recount.job import Watcher


class _Rate(ProgressColumn):
    """Records a second."""

    def render(self, task: Task) -> Text:
        """See rich."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


class _Bar(Watcher):
    """On a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("reading", total=None)

    def begins(self, what: str, total: int) -> None:
        self._progress.reset(self._task, description=what, total=total or None)

    def counted(self, records: int) -> None:
        self._progress.advance(self._task, records)


class _Lines(Watcher):
    """Off a terminal: a line for each part of the work."""

    def __init__(self) -> None:
        self._said = ""

    def begins(self, what: str, total: int) -> None:
        if what != self._said and what != "catching up":
            say(f"{what}{f' {total:,} records' if total else ''}", err=True)
        self._said = what


@contextmanager
def watching(*, quiet: bool) -> Iterator[Watcher]:
    """Where the work is told to."""
    screen = Screen(stderr=True)
    if not screen.is_terminal:
        yield Watcher() if quiet else _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as progress:
        yield _Bar(progress)
