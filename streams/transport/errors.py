"""What is wrong with the log itself; an unreachable broker is in `schemas.errors`. No behaviour here."""

from __future__ import annotations

from schemas.errors import NeedsHumanError


class LogGapError(NeedsHumanError):
    """Records between the stored cursor and the log are gone."""
