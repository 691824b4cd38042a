"""How names are written, as a table for a terminal. Counts nothing."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.questions.spelling import NamesDocument
from streams.report.tables.grid import Grid


def render_names(document: NamesDocument) -> RenderableType:
    """A row for each name that is not written as it is compared."""
    head = Text(f"{document['funnel']} version {document['version']}", style="bold")
    if not document["names"]:
        return Group(head, Text("Every name is written as it is compared: in lower case.", style="dim"))
    table = Grid("of", "compared as", "first written")
    for kind, names in document["names"].items():
        for name, written in sorted(names.items()):
            table.add_row(kind, name, written)
    return Group(head, Text(), table)
