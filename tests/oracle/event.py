"""One event of a person's history, as far as the funnel looks at it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.oracle.values import Amount

LOST, STAGE, ORDER, REFUND = "lost", "stage", "order", "refund"
WITHDRAWN, RESTATED = "withdrawn", "restated"
SCORED = "scored"
"""Nothing but its points."""


@dataclass(frozen=True, eq=False)
class Event:
    """One event of a history (compared by identity: the same id may come anew behind the horizon)."""

    source: str
    id: str
    occurred: int
    tie: int
    kind: str
    stages: tuple[int, ...]
    """Stages it may belong to: for an order all order stages it matches, else the one it belongs to, or none."""
    values: tuple[str, ...]
    """Its own value of every dimension (withdrawals and restatements have none)."""
    amount: Amount | None
    order_id: str | None
    refund_id: str | None
    reason: str
    points: int = 0
    unit: str | None = None
    """Which deal it says it belongs to."""
    cost: Amount | None = None
    discount: Amount | None = None
    horizon: int = 0
    """Of its partition when it was applied."""
    place: tuple[str, tuple[str, ...]] | None = None
    """Stage and values of a refund, from when it lies behind the horizon on."""
    worth: tuple[Amount | None, Amount | None, Amount | None] | None = None
    """Value, cost and discount of the order whose first event this is, from when it lies behind the horizon on."""
    deal: tuple[int, int] | None = None
    """Time and tie of the event that begins its deal, from when it lies one `lead_in` behind the horizon on."""
    is_parted: bool = False
    """`deal` says where it belongs; None: to the person's own line."""
    is_gone: bool = False
    """It was withdrawn, or a refund made void, when it came to lie behind the horizon: for good."""
    is_behind: bool = False
    """What it names (its order, or the refund it repeats) lay behind the horizon when it was applied."""
