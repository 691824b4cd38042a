"""The stages of a funnel as a table for a terminal. Shows a counters document; computes nothing but percentages."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.table import Table

from schemas.funnel import Funnel
from schemas.money import minor_digits

Document = Mapping[str, Any]
SEEN_SO_FAR = "so far"


def totals(document: Document) -> Mapping[str, Mapping[str, Any]]:
    """{stage: families} of the whole funnel over all time."""
    found: Mapping[str, Mapping[str, Any]] = document["counters"].get("total", {}).get("all", {}).get("", {})
    return found


def total_rates(document: Document) -> Mapping[str, Any]:
    """Rates of the same cell; empty where nothing was counted."""
    for rates in document["rates"]:
        if rates["grain"] == "total" and rates["dim"] == "":
            found: Mapping[str, Any] = rates
            return found
    return {}


def stage_table(funnel: Funnel, document: Document, *, title: str | None = None) -> Table:
    """One row a stage."""
    counted, rates = totals(document), total_rates(document)
    table = Table(title=title, title_justify="left", expand=False)
    table.add_column("stage")
    for heading in ("events", "entries", "open", "went on (95 %)", "abandoned", "lost", "orders", "revenue"):
        table.add_column(heading, justify="right")
    for stage in funnel.stages:
        families = counted.get(stage.name, {})
        is_bottleneck = rates.get("bottleneck") == stage.name
        table.add_row(
            stage.name + (" ◀" if is_bottleneck else ""),
            number(families.get("events", 0)),
            number(families.get("entries", 0)),
            number(families.get("open", 0)),
            conversion(rates.get("cohort_conversion", {}).get(stage.name)),
            percent(rates.get("abandonment", {}).get(stage.name)),
            number(sum(families.get("lost.cohort", {}).values())),
            number(sum(families.get("orders", {}).values())),
            ", ".join(money(amount, currency) for currency, amount in families.get("revenue", {}).items()),
        )
    return table


def number(amount: int) -> str:
    """1,234; a dash for nothing."""
    return f"{amount:,}" if amount else "-"


def percent(rate: Mapping[str, Any] | None) -> str:
    """A share, without its interval."""
    return "-" if rate is None else f"{rate['rate']:.1%}"


def conversion(rate: Mapping[str, Any] | None) -> str:
    """A cohort's share with its interval; marked until every entry of it is decided."""
    if rate is None:
        return "-"
    text = f"{rate['rate']:.1%}"
    if rate.get("interval") is not None:
        low, high = rate["interval"]
        text += f" [{low:.1%}-{high:.1%}]"
    return text if rate.get("maturity", 1) == 1 else f"{text} {SEEN_SO_FAR}"


def money(minor: int, currency: str) -> str:
    """Minor units as an amount, exactly."""
    return f"{Decimal(minor).scaleb(-minor_digits(currency)):,} {currency}"
