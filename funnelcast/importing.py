"""What commands that import have in common: refused lines on stderr, a progress bar, exit codes. Composes."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from funnelcast import ingest_rules
from funnelcast.say import say
from producers.importer.importer import Importer, Progress
from producers.importer.problems import KINDS, TOLERATED_MEANS, Kind, Refused, kinds_of
from producers.importer.strict import Strict
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from schemas.funnel.load import load_funnels

if TYPE_CHECKING:
    from producers.importer.preparation import Preparation

SHOWN: int = 20
EXIT_SOME_REFUSED, EXIT_NONE_TAKEN, EXIT_INTERRUPTED = 1, 2, 130


def exit_code(*, taken: int, refused: int) -> int:
    """0 only if every line was taken, 1 when some were not, 2 when none was."""
    if not refused:
        return 0
    return EXIT_SOME_REFUSED if taken else EXIT_NONE_TAKEN


def strict_of(funnels: Sequence[str] | None, tolerated: Sequence[str], *, is_historical: bool) -> Strict:
    """The checks of an import. `funnels` None: any name will do, and the usual lateness. What is not history must be
    sent before it is late. Raises UsageError, FunnelError."""
    loaded = load_funnels(funnels) if funnels is not None else []
    ingest = Ingest(
        contacts=Contacts(b"only to tell an address from none"),
        known_names=None if funnels is None else ingest_rules.known_names(loaded),
        personless_names=ingest_rules.personless_names(loaded),
    )
    now_ms = time.time_ns() // 1_000_000
    named = " or ".join(funnel.name for funnel in loaded)
    return Strict(
        ingest,
        now_ms,
        is_historical=is_historical,
        earliest_ms=0 if is_historical else now_ms - ingest_rules.lateness_ms(loaded),
        tolerated=kinds_of(tolerated),
        looked_at_by=f"no stage of {named}; say which funnel is meant with --funnels",
    )


class Refusals:
    """Shows the first refused lines, counts all, by reason."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.by_reason: Counter[str] = Counter()
        self.first: list[Refused] = []
        self.late = 0
        """Events that were sent and taken too late."""

    @property
    def count(self) -> int:
        """Of all of them."""
        return self.by_reason.total()

    def add(self, refused: Refused) -> None:
        """One line."""
        self.by_reason[refused.reason] += 1
        if self.count <= SHOWN:
            self.first.append(refused)
            say(f"{refused.file or self._name}:{refused.line}: {refused.reason}: {refused.detail}", err=True)

    def sum_up(self) -> None:
        """How many there were, and what may be tolerated."""
        if self.count > SHOWN:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.by_reason.items()))
            say(f"{self._name}: {self.count} lines not taken ({reasons}); the first {SHOWN} are shown", err=True)
        for reason in sorted(self.by_reason):
            if reason in KINDS:
                say(f"--tolerate {reason}: {TOLERATED_MEANS[Kind(reason)]}", err=True)


def prepared(
    file: Path,
    tolerated: Sequence[str],
    *,
    named_funnels: Sequence[str],
    is_historical: bool,
    refusals: Refusals,
    with_overview: bool,
) -> Preparation:
    """Everything that an import file names, read and sorted, under a counter on stderr. Raises InputFileError."""
    from producers.importer.load import load_import
    from producers.importer.overview import Overview
    from producers.importer.preparation import Preparation

    definition = load_import(file)
    funnels = [_beside(file, name) for name in definition.funnels] or named_funnels
    strict = strict_of(funnels, [*tolerated, *definition.tolerate], is_historical=is_historical)
    preparation = Preparation(definition, file.parent, strict, refusals.add, is_historical=is_historical)
    if with_overview:
        preparation.watcher = Overview(strict.earliest_ms)
    with counting("rows read") as progress:
        preparation.on_progress = progress
        preparation.run()
    for note in preparation.notes:
        say(note, err=True)
    return preparation


def _beside(file: Path, name: str) -> str:
    """A funnel is a preset, or a file beside the import file."""
    beside = file.parent / name
    return str(beside) if beside.is_file() else name


@contextmanager
def counting(label: str) -> Iterator[Callable[[int], None]]:
    """How many there are so far, on a terminal."""
    from funnelcast.screen import Screen

    console = Screen(stderr=True)
    if not console.is_terminal:
        yield lambda done: None
        return
    with console.status(label) as status:
        yield lambda done: status.update(f"{done:,} {label}")


def say_rows(name: str, preparation: Preparation, done: str) -> None:
    """Every row once, on stderr."""
    rows = preparation.rows
    say(
        f"{name}: {rows.read} rows read: {rows.taken} taken, {rows.refused} refused, {rows.without_event} without an "
        f"event; {preparation.count} events {done}",
        err=True,
    )


def run_importer(importer: Importer, *, total: Callable[[], int]) -> Progress:
    """Send under a progress bar on stderr; Ctrl-C leaves the progress saved and ends the command."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from funnelcast.screen import Screen

    console = Screen(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("sending", total=total() if console.is_terminal else None)
        importer.on_progress = lambda progress: bar.update(task, completed=progress.sent, description="sending")
        importer.on_wait = lambda why: bar.update(task, description=f"waiting: {why[:60]}")
        bar.update(task, completed=importer.progress.sent)
        try:
            return asyncio.run(_send(importer))
        except KeyboardInterrupt:
            done = importer.progress.sent
    say(f"stopped after {done} events; the same command goes on from there", err=True)
    sys.exit(EXIT_INTERRUPTED)


async def _send(importer: Importer) -> Progress:
    async with importer.client:
        return await importer.run()
