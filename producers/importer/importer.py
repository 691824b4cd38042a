"""Sends a file of events through a collector: in order, acknowledged, resumable, never double.

Progress lives in a small file named by all that decides what arrives: the content's hash, the mapping, the collector,
the key and whether it is history. Every batch carries the import's session and
the running number of its first event (`X-Funnelcast-Sequence`): what is sent again after a lost answer or a crash is
recognised behind the collector and counted nowhere. A new session (`--again`, lost progress) is recognised by the
events' ids.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx

from producers.client.collector import CollectorClient, CollectorRefusedError, RetryPolicy
from producers.files.durable import write_atomically
from producers.importer.lines import batches
from producers.importer.problems import Refused

BATCH_LINES: Final = 500
BATCH_BYTES: Final = 400_000
_TOO_LARGE: Final = frozenset({"body_too_large", "too_many_events"})
_ADVICE: Final = "run the same command again, it goes on where it stopped"


class _TooLargeError(Exception):
    """The request holds more than the collector takes at once; never leaves the importer."""


class EventSource(Protocol):
    """What is sent: it can be read more than once, and always says the same."""

    @property
    def is_historical(self) -> bool:
        """Whether events are sorted by time and received when they occurred."""

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """All that decides what is sent."""

    def events(self) -> Iterator[tuple[int, bytes]]:
        """(place, event) in the order of sending; the place names the event when it is refused."""


@dataclass(slots=True)
class Progress:
    """How far an import came. `sent` counts events that are acknowledged, in the order of sending."""

    session: str
    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    late: int = 0
    """Of the accepted ones: what no funnel of the collector counts."""
    is_done: bool = False


@dataclass(slots=True)
class Target:
    """Where events go. `url` may leave the path away."""

    url: str
    key: str | None = None
    patience_seconds: float = 600.0
    """How long one batch is tried again."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise CollectorRefusedError(f"{self.url!r} is no URL of a collector; write e.g. http://127.0.0.1:8080")
        if parts.path in ("", "/"):
            self.url = self.url.rstrip("/") + "/v1/events"


@dataclass(slots=True)
class Importer:
    """One import. `on_progress` is called with it after every batch, `on_refused` for every event that is not taken."""

    file: EventSource
    target: Target
    state_dir: Path
    client: httpx.AsyncClient
    on_refused: Callable[[Refused], None]
    on_progress: Callable[[Progress], None] = lambda progress: None
    on_wait: Callable[[str], None] = lambda why: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    progress: Progress = field(init=False)
    _path: Path = field(init=False)

    def __post_init__(self) -> None:
        about = (
            self.file.fingerprint,
            self.target.url,
            hashlib.sha256((self.target.key or "").encode()).hexdigest(),
        )
        name = hashlib.sha256(repr(about).encode()).hexdigest()[:24]
        self._path = self.state_dir / "imports" / f"{name}.json"
        self.progress = _load(self._path) or _new_progress()

    def start_over(self) -> None:
        """Forget the progress and send everything again, in a new session."""
        self.progress = _new_progress()

    async def run(self) -> Progress:
        """Send what is not acknowledged yet. Raises TryAgainError, CollectorRefusedError, InputFileError."""
        progress = self.progress
        self._save()
        if self.file.is_historical and not progress.is_done:
            await self._check_scope()
        for batch in batches(self._unsent(), lines=BATCH_LINES, size=BATCH_BYTES):
            results = await self._send_batch([event for _, event in batch], progress.sent)
            for (line, _), result in zip(batch, results, strict=True):
                if result.get("status") == "accepted":
                    progress.accepted += 1
                    progress.late += bool(result.get("late"))
                else:
                    progress.rejected += 1
                    self.on_refused(Refused(line, str(result.get("reason")), str(result.get("detail", ""))))
            progress.sent += len(batch)
            self._save()
            self.on_progress(progress)
        progress.is_done = True
        self._save()
        return progress

    def _unsent(self) -> Iterator[tuple[int, bytes]]:
        for number, line in enumerate(self.file.events()):
            if number >= self.progress.sent:
                yield line

    async def _send_batch(self, events: list[bytes], first: int) -> list[dict[str, Any]]:
        """Results of a batch. What is too large for one request goes in halves, until the line is found that is too
        large by itself: it alone is rejected."""
        try:
            return await self._send(b"\n".join(events), {"X-Funnelcast-Sequence": f"{self.progress.session}:{first}"})
        except _TooLargeError as error:
            if len(events) == 1:
                return [{"status": "rejected", "reason": "event_too_large", "detail": str(error)}]
        half = len(events) // 2
        return await self._send_batch(events[:half], first) + await self._send_batch(events[half:], first + half)

    async def _check_scope(self) -> None:
        """With another key the collector would take the events as happening now. A tick at 0 moves nothing."""
        result = (await self._send(b'{"tick":0}', {}))[0]
        if result.get("status") != "accepted":
            raise CollectorRefusedError(
                "--historical needs a write key of the scope historical; make one with "
                "`funnelcast keys create --source import --scope historical`"
            )

    async def _send(self, body: bytes, sequence: dict[str, str]) -> list[dict[str, Any]]:
        """Results of one batch, however often it takes."""
        url = self.target.url
        answer = await self._collector().post_until_answered(
            url, body, headers={"Content-Type": "application/x-ndjson", **sequence}
        )
        if answer.code == "malformed_json":  # not one line of the batch is JSON
            return [{"status": "rejected", "reason": "malformed_json"}] * (body.count(b"\n") + 1)
        if answer.status == 413 or answer.code in _TOO_LARGE:  # 413: a proxy before the collector
            raise _TooLargeError(answer.explanation)
        return answer.results(url)

    def _collector(self) -> CollectorClient:
        policy = RetryPolicy(self.target.patience_seconds, advice=_ADVICE)
        return CollectorClient(
            self.client, self.target.key, policy, on_wait=self.on_wait, sleep=self.sleep, clock=self.clock
        )

    def _save(self) -> None:
        write_atomically(self._path, json.dumps(asdict(self.progress)).encode())


def _new_progress() -> Progress:
    return Progress(session=f"import-{uuid.uuid4().hex[:16]}")


def _load(path: Path) -> Progress | None:
    try:
        return Progress(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
