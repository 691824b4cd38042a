"""Ids of visitors in whose browsers nothing is stored: made of what a request shows and a salt that lives for a day.

Reads and writes the salts of one directory. Who has yesterday's ids can make none of today's, and once a salt is gone
nobody can tell whether an address was there. The processes of one collector share the directory; collectors on several
machines must, too, or a visitor is one on each.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

from producers.files.durable import make_private

DAY_MS: Final = 86_400_000
_PREFIX: Final = "visitor-salt-"
_SALT_BYTES: Final = 32


class DayIds:
    """`ids.of(...)` for the salts of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._day = -1
        self._salt = b""

    def of(self, received_at_ms: int, *, site: str, address: str, agent: str) -> str:
        """The id of a visitor of one site on one day (UTC). Raises OSError."""
        day = received_at_ms // DAY_MS
        if day != self._day:
            self._salt, self._day = self._salt_of(day), day
        shown = "\0".join((site, address, agent)).encode("utf-8", "surrogatepass")
        return "day-" + hashlib.blake2b(shown, key=self._salt, digest_size=16).hexdigest()

    def _salt_of(self, day: int) -> bytes:
        """Made by the first who needs it; all older ones are deleted."""
        make_private(self._directory)
        path = self._directory / f"{_PREFIX}{day}"
        temporary = self._directory / f".{_PREFIX}{day}.{os.getpid()}"
        if not path.exists():
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_SALT_BYTES))
            try:
                os.link(temporary, path)  # whole, or that of another process
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        for old in self._directory.glob(f"{_PREFIX}*"):
            if old.name.removeprefix(_PREFIX).isdigit() and int(old.name.removeprefix(_PREFIX)) < day:
                old.unlink(missing_ok=True)
        return path.read_bytes()
