"""Secrets that stand in files: read once, never shown."""

from __future__ import annotations

import sys
from pathlib import Path

from funnelcast.settings.errors import SettingsError


def read_secret(path: Path, name: str) -> str:
    """The text of a file (`-` is stdin) that holds one secret, without the line break at its end. Raises
    SettingsError."""
    try:
        text = (sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}: {path} cannot be read: {in_words(error)}") from None
    if not text:
        raise SettingsError(f"{name}: {path} is empty")
    return text


def in_words(error: BaseException) -> str:
    """What went wrong, without the number and the path that errors of the system begin with."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
