"""What counts in an event beside its name and its person: properties that are read, whatever a funnel says. Pure.

Here and nowhere else: a property that is counted and is missing from what `--allow-properties` keeps would vanish on
its way.
"""

from __future__ import annotations

from typing import Final

AMOUNTS: Final = ("value", "value_minor", "amount")
"""Money of an event, the first that is stated; carried as raw JSON, so that decimals stay as they were sent."""
MONEY: Final = (*AMOUNTS, "cost", "discount")
"""All money of an event; cost and discount are those of an order."""
ORDER_DETAILS: Final = ("currency", "order_id", "refund_id", "reason")
"""Currency of the amount, identity of an order and of a refund, reason of a loss."""
TRAFFIC: Final = "traffic"
"""Property that says who made an event; the collector sets it (`schemas.traffic`)."""
ALWAYS_READ: Final = (*MONEY, *ORDER_DETAILS, TRAFFIC)
ORDER_WITHDRAWN: Final = "order_withdrawn"
ORDER_RESTATED: Final = "order_restated"
ORDER_CHANGES: Final = frozenset({ORDER_WITHDRAWN, ORDER_RESTATED})
"""Names of the events that change an order, in every funnel."""
CONTACT_NAMES: Final = frozenset({"email", "Email", "EMAIL", "phone", "Phone", "PHONE"})
"""Properties and traits that hold an address of a person: they become a contact id."""
UNKNOWN_SOURCE: Final = "unknown"
"""Source of what came without a valid key."""
MAX_SOURCE_CHARS: Final = 64
