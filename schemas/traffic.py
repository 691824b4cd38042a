"""Who makes an event: a person who may become a customer, or somebody else. Pure.

The collector writes the class of an event that is not a person's into its property `traffic`; a funnel counts the
classes of its `traffic` (docs/semantics.md 2). An event that says nothing is a person's.
"""

from __future__ import annotations

from typing import Final

HUMAN: Final = "human"
BOT: Final = "bot"
PREFETCH: Final = "prefetch"
STAFF: Final = "staff"
CANARY: Final = "canary"
TRAFFIC_CLASSES: Final = (HUMAN, BOT, PREFETCH, STAFF, CANARY)


def traffic_of(value: object) -> str:
    """The class that a property states, without case; `human` where it states none."""
    text = value.strip().lower() if isinstance(value, str) else ""
    return text if text in TRAFFIC_CLASSES else HUMAN
