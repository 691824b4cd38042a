"""What the demo prints: a live view on a terminal, a line every few seconds elsewhere. Reads nothing itself."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from funnelcast.progress import progress_bar
from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView, total_cell
from streams.report.document.rates import rates_of
from streams.report.document.shapes import CountersDocument
from streams.report.tables import texts
from streams.report.tables.report import render_cell

LINE_SECONDS = 3.0
"""Off a terminal: how often the live shop says how it is."""


@dataclass(frozen=True, slots=True)
class History:
    """The counted purchase history."""

    funnel: Funnel
    document: CountersDocument
    seconds: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the system is while it counts."""

    elapsed_seconds: float
    events_per_second: float | None
    lag: int | None
    freshness_seconds: float | None
    restarts: int

    def text(self) -> str:
        """In one line."""
        speed = "-" if self.events_per_second is None else f"{self.events_per_second:,.0f}/s"
        lag = "-" if self.lag is None else f"{self.lag:,} records"
        freshness = "-" if self.freshness_seconds is None else f"{self.freshness_seconds:.1f} s"
        text = f"{self.elapsed_seconds:4.0f} s  events {speed}  lag {lag}  freshness {freshness}"
        return text + (f"  restarts {self.restarts}" if self.restarts else "")


class View:
    """One console. Notes of the processes go between the lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._next_line = 0.0

    def say(self, line: str) -> None:
        """One line of text, as it is."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def note(self, line: str) -> None:
        """What a process or the supervisor has to say."""
        self._console.print(Text(f"· {line}", style="dim"), soft_wrap=True)

    def progress(self) -> AbstractContextManager[Callable[[int, int], None]]:
        """A bar over (done, total)."""
        return progress_bar("history", self._console)

    def history(self, history: History) -> None:
        """The report of the purchase history: the stages, and the figures that can be checked by hand."""
        self._console.print(self._table(history.funnel, history.document, title="CDNOW purchase history"))
        for line in history_lines(history):
            self.say(line)

    def live(self, *, page: str, collector: str, metrics: str, key: str) -> None:
        """Where the live shop listens, with a line to try."""
        self.say("")
        self.say(f"Open {page} in a browser: the shop's funnel, live")
        self.say(f"live shop: collector {collector}  metrics {metrics}")
        self.say("send an event yourself:")
        self.say(
            f"  curl -s {collector}/v1/events -H 'X-Write-Key: {key}' "
            '-d \'{"id": "mine-1", "name": "impression", "anonymous_id": "me", "properties": {"channel": "curl"}}\''
        )

    def questions(self, command: str, file: Path) -> None:
        """What can be asked meanwhile, in another terminal."""
        self.say("ask it, in another terminal:")
        for question in ("report", "tail"):
            self.say(f"  {command} {question} --config {shlex.quote(str(file))}")
        self.say("")

    @contextmanager
    def showing(self) -> Iterator[None]:
        """While the live view stands."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=4, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def show(self, funnel: Funnel, document: CountersDocument, *, pulse: Pulse) -> None:
        """The newest state."""
        if self._live is not None:
            self._live.update(Group(self._table(funnel, document), Text(pulse.text()), Text("Ctrl-C ends", "dim")))
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            self.say(f"{pulse.text()}  {entries_line(funnel, document)}")

    def final(self, history: History, funnel: Funnel, *, document: CountersDocument) -> None:
        """Both reports."""
        self.say("")
        self.history(history)
        self._console.print(self._table(funnel, document, title="live shop"))
        counted = document["input"]
        self.say(
            f"live shop: {counted['accepted']:,} events counted once, {counted['duplicates']:,} duplicates recognised, "
            f"{counted['late']:,} late, {counted['persons']:,} visitors"
        )

    def _table(self, funnel: Funnel, document: CountersDocument, *, title: str | None = None) -> RenderableType:
        return render_cell(funnel, total_cell(document), title=title)


def history_lines(history: History) -> list[str]:
    """The figures of the purchase history."""
    view = CellView(total_cell(history.document))
    names, currency = [stage.name for stage in history.funnel.stages], history.funnel.currency
    first, second = names[:2]
    customers, repeated = view.amount(first, "orders"), view.amount(second, "orders")
    orders = sum(view.amount(stage, "orders") for stage in names)
    revenue = sum(view.amounts(stage, "revenue").get(currency, 0) for stage in names)
    within = view.amounts(first, "transitions.cohort").get(second, 0)
    again = f"{repeated / customers:.1%}" if customers else texts.ABSENT
    average = texts.money(round(revenue / orders), currency) if orders else texts.ABSENT
    return [
        f"CDNOW: {customers:,} customers made {orders:,} purchases: {texts.money(revenue, currency)} in revenue",
        f"CDNOW: {repeated:,} bought again ({again}), {within:,} of them within 180 days of the first; "
        f"average {average} a purchase",
        f"CDNOW: counted in {history.seconds:.1f} s through collector, broker, workers and Valkey",
    ]


def entries_line(funnel: Funnel, document: CountersDocument) -> str:
    """Entries and conversion of every stage in one line."""
    cell = total_cell(document)
    view, rates = CellView(cell), rates_of(funnel, cell)["cohort_conversion"]
    parts = []
    for stage in funnel.stages:
        part = f"{stage.name} {view.entries(stage.name):,}"
        rate = rates.get(stage.name)
        parts.append(part if rate is None else f"{part} ({texts.cohort_share(rate)})")
    return ", ".join(parts)
