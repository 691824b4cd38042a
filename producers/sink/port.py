"""Where the collector puts records: the port, its errors, and a twin in memory for tests and replays without Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import msgspec

from schemas.partition import partition_of


class Outgoing(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One record on its way. `timestamp_ms` becomes the record's own time on Kafka. A struct is a third of the price of
    a named tuple, and there is one for every event."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    timestamp_ms: int
    headers: tuple[tuple[str, bytes], ...] = ()


class SinkUnavailableError(Exception):
    """The records are not acknowledged: send the same again after `retry_after_seconds`. Some of them may have been
    written."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RecordsRefusedError(SinkUnavailableError):
    """The log works, and takes these records never as they are (too large for the topic): waiting does not help."""


class Sink(Protocol):
    """Guarantees: `put` returns only when every record is safe (acknowledged by the log, or on disk and on its way);
    records of one call keep their order within a partition; no record of a call is written after one before it (same
    partition) has failed."""

    def partitions_of(self, topic: str) -> int:
        """Number of partitions. Raises SinkUnavailableError while it is not known."""

    async def put(self, records: Sequence[Outgoing], *, needs_order: bool = False) -> None:
        """Write all. Raises SinkUnavailableError; then the caller's own retry may write some of them twice.

        `needs_order`: the sender relies on the log's order from one request to the next, whichever collector takes
        them; its records are never left waiting on disk.
        """

    @property
    def trouble(self) -> str | None:
        """Why nothing can be taken now, or None."""

    @property
    def outage(self) -> str | None:
        """Why nothing can be written to the log now, or None; what is taken meanwhile waits on disk."""

    @property
    def note(self) -> str | None:
        """What readiness should say although events are taken, or None."""

    @property
    def pending(self) -> int:
        """Records that are not acknowledged yet."""


@dataclass
class MemorySink:
    """A log in memory."""

    partitions: int = 4
    logs: dict[tuple[str, int], list[Outgoing]] = field(default_factory=dict)
    failure: SinkUnavailableError | None = None
    """Set to make every `put` fail."""

    def partitions_of(self, topic: str) -> int:
        """The same number for every topic."""
        return self.partitions

    async def put(self, records: Sequence[Outgoing], *, needs_order: bool = False) -> None:
        """Append all or raise `failure`."""
        if self.failure is not None:
            raise self.failure
        for record in records:
            self.logs.setdefault((record.topic, record.partition), []).append(record)

    @property
    def trouble(self) -> str | None:
        """The failure's text."""
        return None if self.failure is None else str(self.failure)

    @property
    def outage(self) -> str | None:
        """As `trouble`: nothing is kept for later."""
        return self.trouble

    @property
    def note(self) -> str | None:
        """None: there is nothing to add to `trouble`."""
        return None

    @property
    def pending(self) -> int:
        """Nothing ever waits."""
        return 0

    def records(self, topic: str) -> list[Outgoing]:
        """All records of a topic, by partition."""
        return [one for (name, _), log in sorted(self.logs.items()) if name == topic for one in log]


_partition_of = lru_cache(maxsize=32_768)(partition_of)  # people come back; the hash in Python costs 2 us
_NO_PERSON_PARTITION = 0
"""Events without a person (ad spend) share one partition: a later statement must meet the one it replaces."""


def partition_for(key: bytes | None, partitions: int) -> int:
    """Partition of an event."""
    return _NO_PERSON_PARTITION if key is None else _partition_of(key, partitions)
