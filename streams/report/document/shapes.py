"""The shapes of the counters document (docs/reports.md): what its JSON holds, as types. Nothing else.

What is 0 is left out everywhere: read a cell through `streams.report.document.cell.CellView`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

Amounts = Mapping[str, int]
"""By sub-key: a reason, a stage, a currency, `stage edge`."""
Families = Mapping[str, int | Amounts]
"""Of one stage, by the name of the family."""
NamedCell = Mapping[str, Families]
"""By the name of the stage."""
Counters = Mapping[str, Mapping[str, Mapping[str, NamedCell]]]
"""By grain, bucket and dimension values (`channel=google`; empty: the whole)."""


class _LeftOut(TypedDict, total=False):
    left_out: dict[str, int]
    """Events of classes of traffic that the funnel does not count, by class; absent where there are none."""


class InputCounts(_LeftOut):
    """What came in that matters to the funnel."""

    accepted: int
    duplicates: int
    late: int
    persons: int
    placeholder_ids: int
    link_conflicts: int


class Rate(TypedDict):
    """A rate with what it was made of."""

    rate: float
    numerator: int
    denominator: int
    interval: list[float] | None
    """[low, high] of a share; None where it is none."""


class CohortRate(Rate):
    """The share of a cohort that went on so far."""

    maturity: float
    """The share of its entries whose outcome is known."""


class Money(TypedDict):
    """Amounts in minor units of the funnel's currency; None: absent."""

    currency: str
    orders: int
    revenue: int
    refunds: int
    spend: int | None
    aov: float | None
    rpm: float | None
    cpm: float | None
    cpc: float | None
    cpl: float | None
    cpa: float | None
    roas: float | None
    forecast: float | None


class Rates(TypedDict):
    """Of one cell; None: a rate over nothing."""

    period_conversion: dict[str, Rate | None]
    step_conversion: dict[str, Rate | None]
    """Both by `"j -> k"`."""
    cohort_conversion: dict[str, CohortRate | None]
    abandonment: dict[str, Rate | None]
    loss: dict[str, Rate | None]
    leaving: dict[str, Rate | None]
    """Lost or abandoned."""
    win: dict[str, Rate | None]
    """These five by stage."""
    overall: Rate | None
    bottleneck: str | None
    money: Money


class CellRates(Rates):
    """Rates with the address of their cell."""

    grain: str
    bucket: str
    dim: str


class DocumentHead(TypedDict):
    """Which funnel, up to when, and what came in."""

    funnel: str
    version: int
    watermark_ms: int | None
    input: InputCounts


class CountersDocument(DocumentHead):
    """One funnel."""

    counters: Counters
    rates: list[CellRates]
