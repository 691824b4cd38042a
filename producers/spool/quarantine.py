"""What of a spool cannot be read, or is never taken by Kafka: kept for a human, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import structlog

from producers.files.durable import write_atomically

log = structlog.get_logger("funnelcast.spool")


class Place(NamedTuple):
    """A position in the spool: number of the segment, offset in it."""

    segment: int
    offset: int


class Quarantine:
    """One folder, made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.bytes = 0
        """In the folder, as of the last `count` or `keep`."""

    def count(self) -> None:
        """Find out what is there."""
        self.bytes = sum(file.stat().st_size for file in self._folder.glob("*.bad"))

    def keep(self, place: Place, data: bytes) -> None:
        """Write what stood at `place`: again at every start, until its segment is removed. Raises OSError."""
        self._folder.mkdir(exist_ok=True, mode=0o700)
        path = self._folder / f"{place.segment:012d}-{place.offset}.bad"
        write_atomically(path, data)
        self.count()
        log.error("spool_damaged", message="it is kept in quarantine", path=str(path), bytes=len(data))
