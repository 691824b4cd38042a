"""The error of a setting."""

from __future__ import annotations

from schemas.errors import UsageError


class SettingsError(UsageError):
    """A setting that cannot be used; the text names it and says what to write."""
