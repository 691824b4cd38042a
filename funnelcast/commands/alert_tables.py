"""The answer of `funnelcast alerts backtest` as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from funnelcast.screen import Screen
from streams.report.tables.grid import Grid


def print_alerts(answer: Mapping[str, Any]) -> None:
    """A row for each alert, and how often somebody would have been called."""
    console = Screen()
    console.print(
        f"{answer['funnel']} version {answer['version']} · threshold {answer['threshold']:g} nats", style="bold"
    )
    if not answer["days"]:
        console.print("Too little history: evidence needs one week to learn from before the first day it judges.")
        return
    if answer["alerts"]:
        console.print(_table(answer["alerts"]))
    weekly = answer["pages_per_week"]
    console.print(f"{len(answer['alerts'])} alerts on {answer['days']} days; {weekly:.2f} pages a week")


def _table(alerts: list[Mapping[str, Any]]) -> Grid:
    texts = ("since", "raised", "ended", "alert", "severity", "where", "cause")
    table = Grid(*texts, ">now", ">normal", ">nats", optional=("nats", "severity", "ended"))
    for alert in alerts:
        where = " ".join(part for part in (alert["stage"], alert["dim"]) if part)
        times = [alert[key].replace("T", " ").removesuffix(":00Z") for key in ("since", "starts_at", "ends_at")]
        table.add_row(*times, alert["name"], alert["severity"], where, alert["cause"], *_numbers(alert))
    return table


def _numbers(alert: Mapping[str, Any]) -> tuple[str, str, str]:
    nats = f"{alert['evidence']:.1f}"
    if alert["denominator"]:
        now = f"{alert['numerator']:,.0f} of {alert['denominator']:,.0f}"
        return f"{now} = {alert['numerator'] / alert['denominator']:.2%}", f"{alert['baseline']:.2%}", nats
    return f"{alert['numerator']:,.0f}", f"{alert['baseline']:,.0f}", nats
