"""How journeys go, as tables for a terminal. Counts nothing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.document.percentiles import Bounds, Durations
from streams.report.questions.paths import PathCell, PathsDocument
from streams.report.tables import texts
from streams.report.tables.grid import Grid


def render_paths(document: PathsDocument) -> RenderableType:
    """For each cell a row for each transition, then what each stage changes."""
    head = Text(f"{document['funnel']} version {document['version']} · how journeys go", style="bold")
    if not document["cells"]:
        return Group(head, Text("Nothing counted here yet.", style="dim"))
    return Group(head, *(part for cell in document["cells"] for part in _cell(cell)))


def _cell(cell: PathCell) -> Iterable[RenderableType]:
    yield times_table(cell, title=cell["dim"] or None)
    known = (f"{s['stage']} {100 * s['maturity']:.0f} %" for s in cell["stages"] if s["maturity"] not in (None, 1.0))
    if young := ", ".join(known):
        yield Text(f"so far: entries with an outcome are {young}", style="dim")
    yield from _effects(cell)


def times_table(cell: PathCell, *, title: str | None, only_neighbours: bool = False) -> RenderableType:
    """A row for each transition, and for what leads to the first order and to a loss."""
    headings = ("transition", ">journeys", ">of entries", ">half within", ">9 of 10 within", ">mean")
    table = Grid(*headings, title=title, optional=("of entries", "9 of 10 within"))
    after = {before["stage"]: stage["stage"] for before, stage in pairwise(cell["stages"])}
    for each in cell["transitions"]:
        if not only_neighbours or after[each["before"]] == each["after"]:
            share = f"{100 * each['share']:.1f} %"
            table.add_row(f"{each['before']} -> {each['after']}", *_columns(each["took"], share))
    for stage in cell["stages"]:
        for name, took in (("first contact to", stage["lead_time"]), ("lost after", stage["loss_time"])):
            if took is not None:
                table.add_row(f"{name} {stage['stage']}", *_columns(took, ""), style="dim")
    return table


def _columns(took: Durations, share: str) -> tuple[str, ...]:
    return (
        texts.number(took["count"]),
        share,
        _bounds(took["p50"]),
        _bounds(took["p90"]),
        texts.seconds(took["mean_seconds"]),
    )


def _bounds(bounds: Bounds) -> str:
    if bounds["at_most"] is None:
        return f"> {texts.seconds(bounds['above'] or 0)}"
    return f"{'0' if bounds['above'] is None else texts.seconds(bounds['above'])} – {texts.seconds(bounds['at_most'])}"


def _effects(cell: PathCell) -> Iterable[RenderableType]:
    for effect in cell["effects"]:
        without, with_it = effect["won"]["before"], effect["won"]["after"]
        if all(rate is not None and rate["rate"] == 1 for rate in (without, with_it)):
            continue  # the last stage before the order: who got beyond it has ordered, with it and without
        fewest, most = effect["won_without"]
        unskipped = f"{texts.share(without)}" if without is not None else f"{fewest:,} to {most:,} journeys"
        yield Text(f"{effect['stage']}: won with it {texts.share(with_it)}, without it {unskipped}")
    if cell["nobody_needs"]:
        yield Text(f"nobody needs: {', '.join(cell['nobody_needs'])}", style="bold")
