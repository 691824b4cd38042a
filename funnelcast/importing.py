"""What commands that import have in common: refused lines on stderr, a progress bar, exit codes. Composes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import typer

from funnelcast import ingest_rules
from funnelcast.clock import wall_clock_ms
from funnelcast.say import emit, say
from producers.importer.importer import Importer, Progress, Target
from producers.importer.problems import KINDS, TOLERATED_MEANS, Kind, Refused, kinds_of
from producers.importer.strict import LATE_HINT, Strict
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from schemas.funnel.load import load_funnels

if TYPE_CHECKING:
    from producers.importer.definition import ImportFile
    from producers.importer.preparation import Preparation

SHOWN: int = 20
EXIT_SOME_REFUSED, EXIT_NONE_TAKEN, EXIT_INTERRUPTED = 1, 2, 130


class ImportSettings(Protocol):
    """Settings of a command that imports."""

    @property
    def url(self) -> str:
        """Of the collector."""

    @property
    def state_dir(self) -> Path:
        """Where progress is kept."""

    def write_key(self) -> str | None:
        """The key, from wherever it is."""


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
    now_ms = wall_clock_ms()
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
    definition: ImportFile,
    directory: Path,
    *,
    tolerated: Sequence[str],
    funnels: Sequence[str],
    is_historical: bool,
    refusals: Refusals,
    with_overview: bool,
) -> Preparation:
    """Everything that an import file names, read and sorted, under a counter on stderr. Raises InputFileError."""
    from producers.importer.overview import Overview
    from producers.importer.preparation import Preparation

    names = [_beside(directory, name) for name in definition.funnels] or funnels
    strict = strict_of(names, [*tolerated, *definition.tolerate], is_historical=is_historical)
    preparation = Preparation(definition, directory, strict, refusals.add, is_historical=is_historical)
    if with_overview:
        preparation.watcher = Overview(strict.earliest_ms)
    with counting("rows read") as progress:
        preparation.on_progress = progress
        preparation.run()
    for note in preparation.notes:
        say(note, err=True)
    return preparation


def headings_of(file: Path, layout: Mapping[str, Any]) -> Sequence[str]:
    """The columns of a table. Raises InputFileError."""
    from producers.importer.definition import TableFile
    from producers.importer.tables import open_tables

    (opened,) = open_tables(TableFile.model_validate({"file": file.name, **layout}), file.parent)
    return opened.read(frozenset(Kind)).columns


def _beside(directory: Path, name: str) -> str:
    """A funnel is a preset, or a file beside the import file."""
    beside = directory / name
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


def finish(
    settings: ImportSettings,
    preparation: Preparation,
    *,
    refusals: Refusals,
    name: str,
    patience: float,
    again: bool,
    dry_run: bool,
    as_json: bool,
) -> NoReturn:
    """Print what would be sent, or send it; then say what became of every row, and exit with the code of that."""
    if dry_run:
        document = _overview(preparation, refusals)
    else:
        target = Target(settings.url, settings.write_key(), patience)
        document = _sent(target, settings.state_dir, preparation=preparation, refusals=refusals, again=again)
    refusals.sum_up()
    if as_json:
        emit(json.dumps(document, ensure_ascii=False, default=str))
    elif dry_run:
        from funnelcast.import_table import print_overview

        print_overview(document)
    say_rows(name, preparation, done="would be sent" if dry_run else "sent")
    rows = preparation.rows
    raise typer.Exit(exit_code(taken=rows.taken, refused=rows.refused + refusals.late))


def say_rows(name: str, preparation: Preparation, *, done: str) -> None:
    """Every row once, on stderr."""
    rows = preparation.rows
    say(
        f"{name}: {rows.read} rows read: {rows.taken} taken, {rows.refused} refused, {rows.without_event} without an "
        f"event; {preparation.count} events {done}",
        err=True,
    )


def _rows(preparation: Preparation, refusals: Refusals) -> dict[str, Any]:
    return {
        "rows": asdict(preparation.rows),
        "refused_by_reason": dict(sorted(refusals.by_reason.items())),
        "refused_lines": [each._asdict() for each in refusals.first],
        "late": preparation.late,
        "notes": preparation.notes,
    }


def _overview(preparation: Preparation, refusals: Refusals) -> dict[str, Any]:
    from producers.importer.overview import Overview

    assert isinstance(preparation.watcher, Overview)  # noqa: S101 - asked for above
    return {**_rows(preparation, refusals), **preparation.watcher.document()}


def _sent(
    target: Target, state_dir: Path, *, preparation: Preparation, refusals: Refusals, again: bool
) -> dict[str, Any]:
    import httpx

    client = httpx.AsyncClient()
    importer = Importer(preparation, target, state_dir, client, on_refused=preparation.refused_by_collector)
    if again:
        importer.start_over()
    was_sent = importer.progress.is_done
    progress = run_importer(importer, total=lambda: preparation.count)
    if was_sent:
        say("was sent before, nothing is sent now; --again sends it again", err=True)
    if progress.late and Kind.LATE not in preparation.tolerated:
        refusals.late = progress.late
        say(f"{progress.late} events were accepted too late for every funnel: {LATE_HINT}", err=True)
    events = {"accepted": progress.accepted, "rejected": progress.rejected, "late": progress.late}
    return {**_rows(preparation, refusals), "events": events, "session": progress.session, "already_sent": was_sent}


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
