"""Where a child listens whose port the system chose: what its log says since its last start. So no number is drawn that
somebody else could take before the child does."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import orjson

LISTENING, HEALTH_LISTENING = "listening", "health_listening"
"""Events of a process that has begun to listen; each has a `url`."""


class Listening:
    """The ports of one child, by event."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._begins_at = 0
        self._ports: dict[str, int] = {}

    def begin(self) -> None:
        """The child is about to be started: what the log has said so far is over."""
        self._begins_at = self._log.stat().st_size if self._log.exists() else 0
        self._ports = {}

    def port(self, event: str = LISTENING) -> int | None:
        """The port; None until the log says it."""
        if event not in self._ports:
            self._read()
        return self._ports.get(event)

    def _read(self) -> None:
        try:
            with self._log.open("rb") as log:
                log.seek(self._begins_at)
                for line in log:
                    if b'listening"' in line and line.endswith(b"}\n"):
                        self._take(line)
        except OSError:
            return

    def _take(self, line: bytes) -> None:
        said = orjson.loads(line)
        port = urlsplit(str(said.get("url", ""))).port
        if port is not None:
            self._ports[str(said.get("event"))] = port
