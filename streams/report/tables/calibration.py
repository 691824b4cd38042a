"""The share won by temperature, as a table for a terminal. Counts nothing."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.questions.calibration import CalibrationDocument, StageCalibration
from streams.report.tables import texts
from streams.report.tables.grid import Grid


def render_calibration(document: CalibrationDocument) -> RenderableType:
    """A row for each stage and temperature, and below whether hot people win more often."""
    scale = f"warm from {document['warm']:,} points on, hot from {document['hot']:,}"
    head = Text(f"{document['funnel']} version {document['version']} · scores: {scale}", style="bold")
    headings = ("stage", "temperature", ">entries", ">with outcome", ">won", ">share won", ">95 %")
    table = Grid(*headings, optional=("with outcome", "95 %"))
    for stage in document["stages"]:
        for number, share in enumerate(stage["temperatures"]):
            counts = (texts.number(share[name]) for name in ("entries", "resolved", "won"))
            shown = (*counts, texts.share(share["win"]), texts.interval(share["win"]))
            table.add_row("" if number else stage["stage"], share["temperature"], *shown)
    if not any(share["entries"] for stage in document["stages"] for share in stage["temperatures"]):
        return Group(head, Text("Nothing counted here yet.", style="dim"))
    return Group(head, table, *(Text(_verdict(stage)) for stage in document["stages"]))


def _verdict(stage: StageCalibration) -> str:
    compared = stage["hot_against_cold"]
    if compared["difference"] is None:
        return f"{stage['stage']}: nobody to compare, cold or hot"
    said = f"{stage['stage']}: hot wins {texts.points(compared['difference'])} points more than cold"
    if compared["p_value"] is not None and compared["is_significant"] is not None:
        said += f" (significant: {texts.verdict(compared['p_value'], is_significant=compared['is_significant'])})"
    return said if stage["is_rising"] is not False else f"{said}; but the share does not rise at each temperature"
