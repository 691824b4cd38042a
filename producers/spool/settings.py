"""What a spool is told, what it tells, and where it lies. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

_SMALLEST_SEGMENT: Final = 64 * 1024
_LARGEST_SEGMENT: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """Bounds and habits of the spool."""

    directory: Path
    limit_bytes: int
    topics: tuple[str, ...]
    poll_seconds: float = 0.2
    drain_seconds: float = 5.0
    """How long a stop waits for Kafka to take what lies here."""
    leftovers: tuple[Path, ...] = ()
    """Spools of collectors that are no more, to be drained as well."""
    segment_bytes: int = 0
    """0: as fits the limit."""

    @property
    def size_of_segments(self) -> int:
        """Small enough that space comes free while a full spool is drained."""
        return self.segment_bytes or min(_LARGEST_SEGMENT, max(_SMALLEST_SEGMENT, self.limit_bytes // 16))


class SpoolState(NamedTuple):
    """For the metrics."""

    limit_bytes: int = 0
    bytes: int = 0
    records: int = 0
    oldest_ms: int | None = None
    spooled: int = 0
    drained: int = 0
    quarantined_bytes: int = 0


def directory_of(parent: Path, index: int) -> Path:
    """Where the collector with this number keeps its spool, beside those of its siblings."""
    return parent / f"worker-{index}"


def leftovers_of(parent: Path, *, of: int) -> tuple[Path, ...]:
    """Spools of siblings with a number at or above `of`: collectors that are no more."""
    directories = [path for path in parent.glob("worker-*") if path.name.removeprefix("worker-").isdigit()]
    return tuple(sorted(path for path in directories if int(path.name.removeprefix("worker-")) >= of))
