"""What the persons of a worker may take of its memory, beside what it may have. Counts and refuses nothing: persons
over `worker.max_persons` are left to the store, so that a worker does not grow without end; but that number may be more
than its machine or its container has."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PERSON_BYTES: Final = 700
"""Of a person with four kept events, one wake-up and a journey under way (docs/performance.md)."""
BASE_BYTES: Final = 150_000_000
"""Of a worker that has seen nobody: the interpreter, the libraries, batches on their way."""
_CGROUPS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBound:
    """`persons` of each of `funnels` in each partition, in a process that may have `limit` bytes."""

    persons: int
    funnels: int
    limit: int = field(default_factory=lambda: memory_limit())

    def bytes_of(self, partitions: int) -> int:
        """What the persons of so many partitions take at most."""
        return partitions * self.funnels * self.persons * PERSON_BYTES

    def warning(self, partitions: int) -> str | None:
        """What to do where that is more than there is; None where all is well."""
        needed = self.bytes_of(partitions)
        if not needed or needed + BASE_BYTES <= self.limit:
            return None
        enough = max(1, (self.limit - BASE_BYTES) // (PERSON_BYTES * partitions * self.funnels))
        return (
            f"{self.persons:,} persons of {partitions} partitions and {self.funnels} funnels can take "
            f"{needed / 1e9:.1f} GB, and this process may have {self.limit / 1e9:.1f}: give it more, start a further "
            f"worker, or set worker.max_persons to at most {enough:,}; persons beyond it are read from the store"
        )


def memory_limit(files: tuple[Path, ...] = _CGROUPS) -> int:
    """Bytes that this process may have: of its container, else of the machine."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in files:
        try:
            return min(machine, int(path.read_text()))
        except (OSError, ValueError):  # no container, or one without a limit (`max`)
            continue
    return machine
