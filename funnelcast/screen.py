"""The console of every command that prints tables or shows progress. Decides no content.

Whatever text is in it, from a file, an event or a server, reaches a terminal in its printable form only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from schemas.funnel.model import Funnel
from schemas.text import printable_in, printable_lines
from streams.report.document.shapes import CountersDocument
from streams.report.tables.report import render_report

PIPE_WIDTH: Final = 160
"""Columns of what is no terminal, unless COLUMNS says otherwise: a file has no right edge."""


class Screen(Console):
    """A console that takes texts as they are: no markup, no emoji codes, and nothing in them steers the terminal."""

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        plain = {"markup": False, "emoji": False, "highlight": False}
        super().__init__(stderr=stderr, **{**plain, **options})
        if not self.is_terminal and "width" not in options and not os.environ.get("COLUMNS", "").isdigit():
            self.width = PIPE_WIDTH

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See rich.console.Console."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable_lines(segment.text))


def print_reports(funnels: Sequence[Funnel], documents: Sequence[CountersDocument]) -> None:
    """On stdout, one below the other."""
    screen = Screen()
    for funnel, document in zip(funnels, documents, strict=True):
        screen.print(render_report(funnel, printable_in(document)))
