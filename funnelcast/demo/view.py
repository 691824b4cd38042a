"""What the demo prints: a live view on a terminal, a line now and then elsewhere. Shows; asks nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from funnelcast.tables import conversion, money, number, progress_bar, stage_table, total_rates, totals
from schemas.funnel.model import Funnel

Document = Mapping[str, Any]
LINE_SECONDS = 3.0
"""Off a terminal: how often the live shop says how it is."""


@dataclass(frozen=True, slots=True)
class History:
    """The counted purchase history."""

    funnel: Funnel
    document: Document
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
        return progress_bar(self._console, "history")

    def history(self, history: History) -> None:
        """The report of the purchase history: the stages, and the figures that can be checked by hand."""
        self._console.print(self._table(history.funnel, history.document, title="CDNOW purchase history"))
        for line in history_lines(history):
            self.say(line)

    def live(self, *, collector: str, metrics: str, key: str) -> None:
        """Where the live shop listens, with a line to try."""
        self.say("")
        self.say(f"live shop: collector {collector}  metrics {metrics}")
        self.say("send an event yourself:")
        self.say(
            f"  curl -s {collector}/v1/events -H 'X-Write-Key: {key}' "
            '-d \'{"id": "mine-1", "name": "impression", "anonymous_id": "me", "properties": {"channel": "curl"}}\''
        )

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

    def show(self, funnel: Funnel, document: Document, pulse: Pulse) -> None:
        """The newest state."""
        if self._live is not None:
            self._live.update(Group(self._table(funnel, document), Text(pulse.text()), Text("Ctrl-C ends", "dim")))
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            self.say(f"{pulse.text()}  {entries_line(funnel, document)}")

    def final(self, history: History, funnel: Funnel, document: Document) -> None:
        """Both reports."""
        self.say("")
        self.history(history)
        self._console.print(self._table(funnel, document, title="live shop"))
        counted = document["input"]
        self.say(
            f"live shop: {counted['accepted']:,} events counted once, {counted['duplicates']:,} duplicates recognised, "
            f"{counted['late']:,} late, {counted['persons']:,} visitors"
        )

    def _table(self, funnel: Funnel, document: Document, *, title: str | None = None) -> Table:
        return stage_table(funnel, document, title=title, width=self._console.width)


def history_lines(history: History) -> list[str]:
    """The figures of the purchase history."""
    stages = totals(history.document)
    orders = [sum(stages.get(stage.name, {}).get("orders", {}).values()) for stage in history.funnel.stages]
    currency = history.funnel.currency
    revenue = sum(families.get("revenue", {}).get(currency, 0) for families in stages.values())
    first, second = (stage.name for stage in history.funnel.stages[:2])
    within = stages.get(first, {}).get("transitions.cohort", {}).get(second, 0)
    counted = sum(orders)
    again = f"{orders[1] / orders[0]:.1%}" if orders[0] else "-"
    average = money(round(revenue / counted), currency) if counted else "-"
    return [
        f"CDNOW: {number(orders[0])} customers made {number(counted)} purchases: {money(revenue, currency)} in revenue",
        f"CDNOW: {number(orders[1])} bought again ({again}), {number(within)} of them within 180 days of the first; "
        f"average {average} a purchase",
        f"CDNOW: counted in {history.seconds:.1f} s through collector, broker, workers and Valkey",
    ]


def entries_line(funnel: Funnel, document: Document) -> str:
    """Entries and conversion of every stage in one line."""
    counted, rates = totals(document), total_rates(document)
    parts = []
    for stage in funnel.stages:
        part = f"{stage.name} {number(counted.get(stage.name, {}).get('entries', 0))}"
        rate = rates.get("cohort_conversion", {}).get(stage.name)
        parts.append(part if rate is None else f"{part} ({conversion(rate)})")
    return ", ".join(parts)
