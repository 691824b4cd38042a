"""Why entries were lost, as a table for a terminal. Counts nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.questions.reasons import LossReason
from streams.report.tables import texts
from streams.report.tables.grid import Grid

_SHOWN = 12


def reasons_table(reasons: Sequence[LossReason]) -> RenderableType:
    """The most frequent ones, a row for each stage and reason."""
    frequent = sorted(reasons, key=lambda each: -(each["lost"] + each["lost_late"]))[:_SHOWN]
    shown = [each for each in reasons if each in frequent]
    table = Grid(
        *("lost at", "reason", ">lost", ">of known", ">95 %", ">too late"), title="why", optional=("95 %", "too late")
    )
    for each in shown:
        counts = (texts.number(each["lost"]), texts.share(each["rate"]), texts.interval(each["rate"]))
        table.add_row(each["stage"], each["reason"], *counts, texts.number(each["lost_late"]))
    if len(shown) == len(reasons):
        return table
    return Group(table, Text(f"and {len(reasons) - len(shown)} rarer ones (--csv counters)", style="dim"))
