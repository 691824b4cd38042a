"""Which of the changes of outcomes a reader wants. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from streams.journeys.inbox import Change

CHANGES: Final = ("stalled", "abandoned", "lost", "revived", "completed", "advanced", "open", "withdrawn")
WIN_BACK: Final = CHANGES[:5]
"""What calls for somebody to act; with what takes one of them back."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Nothing set: everything."""

    funnels: Collection[str] | None = None
    changes: Collection[str] | None = None

    def parse(self, value: bytes | None) -> Change | None:
        """A record as a change; None for one that is not wanted, or no change at all."""
        try:
            document: dict[str, Any] = json.loads(value or b"")
            change = Change(document["id"], document["person"], value or b"")
            funnel, outcomes = document["funnel"], {document["change"], document["was"]}
        except (ValueError, TypeError, KeyError):
            return None
        if self.funnels is not None and funnel not in self.funnels:
            return None
        return change if self.changes is None or outcomes.intersection(self.changes) else None
