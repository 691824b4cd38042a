"""Targets as a table for a terminal. Counts nothing."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from streams.report.questions.targets import TargetAnswer, TargetsDocument
from streams.report.tables import texts
from streams.report.tables.grid import Grid

_STYLES = {"made": "green", "likely": "green", "unlikely": "red", "missed": "red"}


def render_targets(document: TargetsDocument) -> RenderableType:
    """A row for each target, and below the table what each needs."""
    head = Text(f"{document['funnel']} version {document['version']} · targets", style="bold")
    if not document["targets"]:
        return Group(head, Text("The file has no target of this funnel.", style="dim"))
    headings = ("target", ">goal", ">fact", ">over", ">due by now", ">pace", ">expected", ">95 %", ">will it be made")
    table = Grid(*headings, optional=("95 %", "over", "due by now", "expected"))
    for answer in document["targets"]:
        table.add_row(*_row(answer, document["currency"]), style=_STYLES.get(answer["verdict"]))
    needs = [line for answer in document["targets"] if (line := _needs(answer))]
    learned = f"learned from {document['history_days']} days"
    return Group(head, table, *map(Text, needs), Text(learned, style="dim"))


def _row(answer: TargetAnswer, currency: str) -> tuple[str, ...]:
    def amount(number: float | None) -> str:
        if number is None:
            return texts.ABSENT
        return texts.money(number, currency) if answer["of"] == "revenue" else f"{number:,.0f}"

    interval, probability = answer["interval"], answer["probability"]
    chance = "" if probability is None or answer["verdict"] in ("made", "missed") else f", {100 * probability:.0f} %"
    return (
        _name(answer),
        amount(answer["goal"]),
        amount(answer["fact"]),
        f"{100 * answer['elapsed']:.0f} %",
        amount(answer["plan_by_now"]),
        texts.ABSENT if answer["pace"] is None else f"{100 * answer['pace']:.0f} %",
        amount(answer["expected"]),
        texts.ABSENT if interval is None else f"{amount(interval[0])} – {amount(interval[1])}",
        f"{answer['verdict']}{chance}",
    )


def _name(answer: TargetAnswer) -> str:
    of = "" if answer["of"] == "entries" else f" {answer['of']}"
    return f"{answer['stage']}{of} {answer['period']}{' · ' + answer['team'] if answer['team'] else ''}"


def _needs(answer: TargetAnswer) -> str:
    """`payment 2025-01 needs 1,000 click, 100 lead; still 300 click (30 a day)`."""
    if not (needs := answer["needs"]):
        return ""
    top = needs[0]
    interval = top["interval"]
    bounds = "" if interval is None else f" ({interval[0]:,.0f} – {interval[1]:,.0f})"
    further = "".join(f", {need['entries']:,.0f} {need['stage']}" for need in needs[1:])
    still = ""
    if top["still"] > 0 and top["still_per_day"] is not None:
        still = f"; still {top['still']:,.0f} {top['stage']}, {top['still_per_day']:,.1f} a day"
    return f"{_name(answer)} needs {top['entries']:,.0f}{bounds} {top['stage']}{further}{still}"
