"""What changes have done, as tables for a terminal. Counts nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.questions.changes import Change, ChangedStage, ChangesDocument
from streams.report.tables import texts
from streams.report.tables.grid import Grid
from streams.state import Annotation


def render_changes(document: ChangesDocument) -> RenderableType:
    """A table for each change."""
    dim = f" · {document['dim']}" if document["dim"] else ""
    head = Text(f"{document['funnel']} version {document['version']}{dim} · changes", style="bold")
    if not document["changes"]:
        return Group(
            head, Text('Nothing is annotated; write: funnelcast annotate "new prices" --at 2025-01-31', style="dim")
        )
    return Group(head, *map(_change, document["changes"]))


def annotation_lines(annotations: Sequence[Annotation]) -> list[str]:
    """One for each, as they stand below a report."""
    return [f"{texts.instant(each.at_ms)}  {each.text}" for each in annotations]


def _change(change: Change) -> RenderableType:
    title = f"{texts.instant(change['at_ms'])}  {change['text']}"
    if all(stage["before"] is None or stage["after"] is None for stage in change["stages"]):
        return Text(f"{title}\n  no whole days before and after it are counted yet", style="dim")
    headings = ("went on from", ">within", ">before", ">after", ">points", ">95 %", ">significant")
    table = Grid(*headings, title=title, optional=("95 %", "within"))
    for stage in change["stages"]:
        table.add_row(stage["stage"], *_row(stage))
    return table


def _row(stage: ChangedStage) -> tuple[str, ...]:
    within = texts.ABSENT if stage["within_seconds"] is None else texts.seconds(stage["within_seconds"])
    rates = [
        texts.share(rate) if rate is None else f"{texts.share(rate)}  {rate['numerator']:,} of {rate['denominator']:,}"
        for rate in (stage["before"], stage["after"])
    ]
    interval, difference, p = stage["interval"], stage["difference"], stage["p_value"]
    return (
        within,
        *rates,
        texts.ABSENT if difference is None else texts.points(difference),
        "" if interval is None else f"{texts.points(interval[0])} to {texts.points(interval[1])}",
        texts.ABSENT if p is None else texts.verdict(p, is_significant=bool(stage["is_significant"])),
    )
