"""Sends a file of events through a collector: in order, acknowledged, resumable, never double.

Progress lives in a small file named by all that decides what arrives: the content's hash, the mapping, the collector,
the key and whether it is history. Every batch carries the import's session and
the running number of its first event (`X-Funnelcast-Sequence`): what is sent again after a lost answer or a crash is
recognised behind the collector and counted nowhere. A new session (`--again`, lost progress) is recognised by the
events' ids.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from producers.files.durable import write_atomically
from producers.importer.lines import EventFile, Refused, batches
from schemas.errors import TryAgainError, UsageError

BATCH_LINES: Final = 500
BATCH_BYTES: Final = 400_000
REQUEST_SECONDS: Final = 30.0
FIRST_PAUSE_SECONDS: Final = 0.2
MAX_PAUSE_SECONDS: Final = 10.0
_TOO_LARGE: Final = frozenset({"body_too_large", "too_many_events"})
_SEND_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class CollectorRefusedError(UsageError):
    """The collector refuses the whole request, and would again; the text says what to change."""


class _TooLargeError(Exception):
    """The request holds more than the collector takes at once; never leaves the importer."""


@dataclass(slots=True)
class Progress:
    """How far an import came. `sent` counts events that are acknowledged, in the order of sending."""

    session: str
    sent: int = 0
    accepted: int = 0
    rejected: int = 0
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

    file: EventFile
    target: Target
    state_dir: Path
    client: httpx.Client
    on_refused: Callable[[Refused], None]
    on_progress: Callable[[Progress], None] = lambda progress: None
    on_wait: Callable[[str], None] = lambda why: None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    progress: Progress = field(init=False)
    _path: Path = field(init=False)

    def __post_init__(self) -> None:
        about = (
            self.file.sha256,
            self.target.url,
            hashlib.sha256((self.target.key or "").encode()).hexdigest(),
            self.file.is_historical,
            self.file.mapping,
        )
        name = hashlib.sha256(repr(about).encode()).hexdigest()[:24]
        self._path = self.state_dir / "imports" / f"{name}.json"
        self.progress = _load(self._path) or _fresh()

    def start_over(self) -> None:
        """Forget the progress and send everything again, in a new session."""
        self.progress = _fresh()

    def run(self) -> Progress:
        """Send what is not acknowledged yet. Raises TryAgainError, CollectorRefusedError, InputFileError."""
        progress = self.progress
        self._save()
        if self.file.is_historical and not progress.is_done:
            self._check_scope()
        for batch in batches(self._rest(), lines=BATCH_LINES, size=BATCH_BYTES):
            results = self._send_batch([event for _, event in batch], progress.sent)
            for (line, _), result in zip(batch, results, strict=True):
                if result.get("status") == "accepted":
                    progress.accepted += 1
                else:
                    progress.rejected += 1
                    self.on_refused(Refused(line, str(result.get("reason")), str(result.get("detail", ""))))
            progress.sent += len(batch)
            self._save()
            self.on_progress(progress)
        progress.is_done = True
        self._save()
        return progress

    def _rest(self) -> Iterator[tuple[int, bytes]]:
        for number, one in enumerate(self.file.events()):
            if number >= self.progress.sent:
                yield one

    def _send_batch(self, events: list[bytes], first: int) -> list[dict[str, Any]]:
        """Results of a batch. What is too large for one request goes in halves, until the line is found that is too
        large by itself: it alone is rejected."""
        try:
            return self._send(b"\n".join(events), {"X-Funnelcast-Sequence": f"{self.progress.session}:{first}"})
        except _TooLargeError as error:
            if len(events) == 1:
                return [{"status": "rejected", "reason": "event_too_large", "detail": str(error)}]
        half = len(events) // 2
        return self._send_batch(events[:half], first) + self._send_batch(events[half:], first + half)

    def _check_scope(self) -> None:
        """With another key the collector would take the events as happening now. A tick at 0 moves nothing."""
        result = self._send(b'{"tick":0}', {})[0]
        if result.get("status") != "accepted":
            raise CollectorRefusedError(
                "--historical needs a write key of the scope historical; make one with "
                "`funnelcast keys create --source import --scope historical`"
            )

    def _send(self, body: bytes, sequence: dict[str, str]) -> list[dict[str, Any]]:
        """Results of one batch, however often it takes."""
        headers = {"Content-Type": "application/x-ndjson", **sequence}
        if self.target.key:
            headers["Authorization"] = f"Bearer {self.target.key}"
        deadline, pause = self.clock() + self.target.patience_seconds, FIRST_PAUSE_SECONDS
        while True:
            results, why, wanted_pause = self._try(body, headers)
            if results is not None:
                return results
            if self.clock() > deadline:
                raise TryAgainError(
                    f"{self.target.url} took nothing for {self.target.patience_seconds:.0f} s ({why}); "
                    "run the same command again, it goes on where it stopped"
                )
            self.on_wait(why)
            self.sleep(max(wanted_pause, pause * random.uniform(0.8, 1.2)))
            pause = min(pause * 2, MAX_PAUSE_SECONDS)

    def _try(self, body: bytes, headers: dict[str, str]) -> tuple[list[dict[str, Any]] | None, str, float]:
        """(results or None, why not, pause that the server asks for)."""
        try:
            response = self.client.post(self.target.url, content=body, headers=headers, timeout=REQUEST_SECONDS)
        except httpx.TransportError as error:
            return None, f"no connection: {error}", 0.0
        if response.status_code == 200:
            results: list[dict[str, Any]] = response.json()["results"]
            return results, "", 0.0
        if response.status_code in _SEND_AGAIN:
            return None, f"status {response.status_code}", _retry_after(response)
        answer = _error_of(response)
        if answer.get("code") == "malformed_json":  # not one line of the batch is JSON
            return [{"status": "rejected", "reason": "malformed_json"}] * (body.count(b"\n") + 1), "", 0.0
        message = f"{answer.get('message', response.text[:200])} {answer.get('detail', '')}".strip()
        if response.status_code == 413 or answer.get("code") in _TOO_LARGE:  # 413: a proxy before the collector
            raise _TooLargeError(message)
        raise CollectorRefusedError(f"{self.target.url} answered {response.status_code}: {message}")

    def _save(self) -> None:
        write_atomically(self._path, json.dumps(asdict(self.progress)).encode())


def _fresh() -> Progress:
    return Progress(session=f"import-{uuid.uuid4().hex[:16]}")


def _load(path: Path) -> Progress | None:
    try:
        return Progress(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return min(float(text), MAX_PAUSE_SECONDS) if text.isdigit() else 0.0


def _error_of(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
