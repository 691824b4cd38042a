"""Sends lines through a collector, in order, each batch until it is acknowledged. Decides nothing about them.

Every batch carries the session and the running number of its first line: a batch that is sent again after a lost answer
is recognised by the worker and is not even a duplicate.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from producers.client.collector import Address, CollectorClient, CollectorRefusedError, RetryPolicy, written
from schemas.errors import NeedsHumanError

BATCH_LINES, BATCH_BYTES = 500, 400_000
POLICY = RetryPolicy(
    patience_seconds=120.0, first_pause_seconds=0.05, longest_pause_seconds=2.0, longest_asked_seconds=0.0
)
"""Between processes of one machine, which come back within seconds: to wait as long as a collector asks the whole world
to wait would only slow the run down."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One element that the collector did not take."""

    number: int
    """As given to `OrderedSender.add`."""
    reason: str
    detail: str


@dataclass(slots=True)
class OrderedSender:
    """Collects lines into batches; one request at a time, so the log keeps the order. Not for concurrent use."""

    url: Address
    key: str | None
    client: httpx.AsyncClient
    on_refused: Callable[[Refused], None] = lambda refused: None
    check: Callable[[], None] = lambda: None
    """Called before every try: raises when sending has become pointless."""
    session: str | None = field(default_factory=lambda: uuid.uuid4().hex[:16])
    """None: batches carry no number, as those of a plain client."""
    batch_lines: int = BATCH_LINES
    acknowledged: int = 0
    retries: int = 0
    _lines: list[bytes] = field(default_factory=list)
    _numbers: list[int] = field(default_factory=list)
    _bytes: int = 0
    _sent: int = 0

    async def add(self, line: bytes, number: int = 0) -> None:
        """Queue one JSON object; sends when a batch is full."""
        self._lines.append(line)
        self._numbers.append(number)
        self._bytes += len(line)
        if len(self._lines) >= self.batch_lines or self._bytes >= BATCH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Send what is queued; returns when it is acknowledged. Raises TryAgainError, NeedsHumanError."""
        if not self._lines:
            return
        lines, numbers = self._lines, self._numbers
        self._lines, self._numbers, self._bytes = [], [], 0
        results = await self._until_acknowledged(b"[" + b",".join(lines) + b"]")
        self._sent += len(lines)
        self.acknowledged += len(lines)
        self._report(numbers, results)

    async def _until_acknowledged(self, body: bytes) -> Sequence[dict[str, Any]]:
        headers = {"Content-Type": "application/json"}
        if self.session is not None:
            headers["X-Funnelcast-Sequence"] = f"{self.session}:{self._sent}"
        collector = CollectorClient(self.client, self.key, POLICY, check=self.check, on_wait=self._count_retry)
        answer = await collector.post_until_answered(self.url, body, headers=headers)
        try:
            return answer.results(written(self.url))
        except CollectorRefusedError as error:
            raise NeedsHumanError(str(error)) from None

    def _count_retry(self, why: str) -> None:
        self.retries += 1

    def _report(self, numbers: Sequence[int], results: Sequence[dict[str, Any]]) -> None:
        for number, result in zip(numbers, results, strict=True):
            if result.get("status") == "rejected":
                self.on_refused(Refused(number, str(result.get("reason")), str(result.get("detail", ""))))
