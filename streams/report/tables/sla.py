"""Whether agreed times were kept, as tables for a terminal. Counts nothing."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.questions.sla import SlaAnswer, SlaDocument
from streams.report.tables import texts
from streams.report.tables.grid import Grid


def render_sla(document: SlaDocument) -> RenderableType:
    """A table for each agreement."""
    span = document["span"]
    head = f"{document['funnel']} version {document['version']} · {span['first']} to {span['last']}"
    return Group(Text(head, style="bold"), *map(_table, document["sla"]))


def _table(answer: SlaAnswer) -> RenderableType:
    way = answer["stage"] if answer["after"] is None else f"{answer['stage']} -> {answer['after']}"
    title = f"{way} within {texts.seconds(answer['within_seconds'])}"
    if not answer["cells"]:
        return Text(f"{title}: nothing counted here", style="dim")
    names_another = answer["after"] is not None
    counted = ("breached", "pending", "lost", *(("elsewhere",) if names_another else ()), "entries")
    headings = ("", ">kept", ">95 %", *(f">{name}" for name in counted))
    table = Grid(*headings, title=title, optional=("95 %", "lost", "elsewhere"))
    for cell in answer["cells"]:
        elsewhere = [cell["elsewhere"]] if names_another else []
        counts = map(texts.number, (cell["breached"], cell["pending"], cell["lost"], *elsewhere, cell["entries"]))
        table.add_row(cell["dim"] or "all", texts.share(cell["rate"]), texts.interval(cell["rate"]), *counts)
    return table
