"""Was it the web or the sales people? The change of the overall conversion, parted at the stage where people take over.

The *web leg* is from the first stage to the first one with the role `lead`, the *sales leg* from there to where the
overall conversion ends. The overall conversion R is the product of those of the legs, R = w s, so with a bar for the
mean of both spans (E. M. Kitagawa, Journal of the American Statistical Association 50, 1955)

    R' - R  =  (w' - w) * mean s  +  (s' - s) * mean w

exactly. Pure.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, TypedDict

from schemas.funnel.model import Funnel
from streams.report.document.cell import CellView
from streams.report.document.rates import compares_people, last_of_overall, ratio
from streams.report.document.shapes import NamedCell
from streams.report.questions.compared import Compared, compare_rates

_LEAD = "lead"


class Legs(TypedDict):
    """The two legs of a funnel in both spans."""

    boundary: str
    """The stage at which the sales leg begins."""
    web: Compared
    """Entries of the boundary over those of the first stage."""
    sales: Compared
    """Entries of the stage at which the overall conversion ends over those of the boundary."""
    web_part: float
    sales_part: float
    """What each has contributed to the change of the overall conversion: together all of it."""
    most: Literal["web", "sales"] | None
    """Which contributed more, in either direction; None: as much as the other."""


def boundary_of(funnel: Funnel) -> int | None:
    """The stage at which the sales leg begins; None where there is none between the ends of the overall conversion."""
    leads = [number for number, stage in enumerate(funnel.stages) if stage.role == _LEAD]
    return leads[0] if leads and 0 < leads[0] < last_of_overall(funnel) else None


def leg_of(funnel: Funnel, stage: str) -> Literal["web", "sales", ""]:
    """The leg on which people go on from a stage; empty where there are no two."""
    boundary, names = boundary_of(funnel), [each.name for each in funnel.stages]
    if boundary is None or stage not in names:
        return ""
    return "web" if names.index(stage) < boundary else "sales"


def joins_of(funnel: Funnel) -> list[int]:
    """Stages at which one leg meets the next: where the sales leg begins, and the first order stage."""
    orders = [number for number, stage in enumerate(funnel.stages) if stage.nth is not None][:1]
    return [number for number in dict.fromkeys((boundary_of(funnel), *orders)) if number]


def joined(funnel: Funnel, view: CellView, *, stage: int) -> tuple[int, int]:
    """(Journeys that came to a stage or beyond it from an earlier one, all that came there) by period: the rest began
    there, so nothing is known of what led to them."""
    names = [each.name for each in funnel.stages]
    came = sum(
        amount
        for name in names[:stage]
        for target, amount in view.amounts(name, "transitions.period").items()
        if target in names[stage:]
    )
    return came, came + sum(view.amount(name, "started") for name in names[stage:])


def legs_of(funnel: Funnel, *, before: NamedCell, after: NamedCell, dim: str = "") -> Legs | None:
    """The legs of a cell in both spans; None where there are no two, or one of them has no conversion in a span."""
    boundary = boundary_of(funnel)
    if boundary is None or not compares_people(funnel, dim):
        return None
    names = [funnel.stages[number].name for number in (0, boundary, last_of_overall(funnel))]
    (top, middle, end), (top_after, middle_after, end_after) = (
        [CellView(cell).entries(name) for name in names] for cell in (before, after)
    )
    if not (top and middle and top_after and middle_after):
        return None
    web, sales = Fraction(middle, top), Fraction(end, middle)
    web_after, sales_after = Fraction(middle_after, top_after), Fraction(end_after, middle_after)
    of_web = (web_after - web) * (sales + sales_after) / 2
    of_sales = (sales_after - sales) * (web + web_after) / 2
    compared = compare_rates(
        {
            "web": (ratio(middle, top), ratio(middle_after, top_after)),
            "sales": (ratio(end, middle), ratio(end_after, middle_after)),
        }
    )
    return {
        "boundary": names[1],
        "web": compared["web"],
        "sales": compared["sales"],
        "web_part": float(of_web),
        "sales_part": float(of_sales),
        "most": None if abs(of_web) == abs(of_sales) else "web" if abs(of_web) > abs(of_sales) else "sales",
    }
