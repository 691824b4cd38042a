"""How long after it occurred an event may be received and still be counted. Pure.

`allowed_lateness` of a funnel; an event that is too late for every funnel is told so where it is taken.
"""

from __future__ import annotations

from typing import Final

ALLOWED_LATENESS_MS: Final = 3 * 86_400_000
"""Of a funnel that does not say."""
