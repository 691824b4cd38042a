"""Sends dead letters through the collector again: each until it is answered, and goes on where it was stopped.

Progress is a small file with the next offset of each partition, written when everything before it is answered. What a
crash sends twice has the same ids.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from producers.client.collector import Answer, CollectorClient, CollectorRefusedError, RetryPolicy
from producers.dead_letters.reader import DeadLetterReader
from producers.dead_letters.replay import (
    CannotSendError,
    DeadLetterFilter,
    ReplayRequest,
    StoredDeadLetter,
    replay_request,
)
from producers.files.durable import write_atomically

AT_ONCE: Final = 8
_ADVICE: Final = "the same command goes on here"
_WRONG_KEY: Final = frozenset({"bad_key", "revoked_key", "not_allowed", "wrong_origin"})


@dataclass(slots=True)
class Outcome:
    """What became of the dead letters."""

    sent: int = 0
    accepted: int = 0
    deduplicated: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason: each is a new dead letter."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Letters that cannot be sent, by why."""

    def as_document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "sent": self.sent,
            "accepted": self.accepted,
            "deduplicated": self.deduplicated,
            "rejected": dict(self.rejected),
            "skipped": dict(self.skipped),
        }


@dataclass(slots=True)
class Resender:
    """`await run(reader)`. `patience_seconds`: how long one dead letter is tried again; `client`: for one collector."""

    url: str
    key: str | None
    client: httpx.AsyncClient
    chosen: DeadLetterFilter
    progress: Path
    as_source: str | None = None
    limit: int | None = None
    is_dry: bool = False
    patience_seconds: float = 300.0
    on_progress: Callable[[Outcome], None] = lambda outcome: None
    on_wait: Callable[[str], None] = lambda why: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    outcome: Outcome = field(default_factory=Outcome)
    _next: dict[int, int] = field(default_factory=dict)

    async def run(self, log: DeadLetterReader, *, starts_over: bool = False) -> Outcome:
        """Send what is wanted, up to the end of the topic at the start. Raises TryAgainError, CollectorRefusedError,
        and what the log raises."""
        if not starts_over:
            self._next = _read_progress(self.progress)
        async for dead_letters in log.read(self._next):
            for start in range(0, len(dead_letters), AT_ONCE):
                await self._send_some(dead_letters[start : start + AT_ONCE])
                if self.limit is not None and self.outcome.sent >= self.limit:
                    return self.outcome
        return self.outcome

    async def _send_some(self, dead_letters: Sequence[StoredDeadLetter]) -> None:
        chosen = [one for one in dead_letters if self._is_chosen(one)]
        if self.limit is not None:
            chosen = chosen[: self.limit - self.outcome.sent]
        requests = [request for one in chosen if (request := self._request(one)) is not None]
        if not self.is_dry:
            await asyncio.gather(*(self._send(one) for one in requests))
        self.outcome.sent += len(requests)
        is_cut_short = self.limit is not None and self.outcome.sent >= self.limit
        last = chosen[-1] if is_cut_short and chosen else dead_letters[-1]
        self._next[last.partition] = last.offset + 1
        if not self.is_dry:
            _write_progress(self.progress, self._next)
        self.on_progress(self.outcome)

    def _is_chosen(self, stored: StoredDeadLetter) -> bool:
        if self.chosen.allows_replay(stored.dead_letter):
            return True
        if self.chosen.matches(stored.dead_letter):
            self.outcome.skipped[f"{stored.dead_letter.reason} (nobody has vouched for it; name it with --reason)"] += 1
        return False

    def _request(self, stored: StoredDeadLetter) -> ReplayRequest | None:
        try:
            return replay_request(stored, source=self.as_source)
        except CannotSendError as error:
            self.outcome.skipped[str(error).split(":")[0]] += 1
            return None

    async def _send(self, request: ReplayRequest) -> None:
        policy = RetryPolicy(
            self.patience_seconds, longest_pause_seconds=30.0, longest_asked_seconds=60.0, advice=_ADVICE
        )
        collector = CollectorClient(self.client, self.key, policy, on_wait=self.on_wait, sleep=self.sleep)
        url = self.url.rstrip("/") + request.path
        self._count(await collector.post_until_answered(url, request.body, headers=request.headers))

    def _count(self, answer: Answer) -> None:
        if answer.code in _WRONG_KEY:
            raise CollectorRefusedError(
                f"{self.url} answered {answer.status} {answer.code}: {answer.explanation}; a replay needs a write key "
                "of the scope historical (`funnelcast keys create --scope historical`)"
            )
        if answer.status != 200:
            self.outcome.rejected[answer.code] += 1
            return
        for result in answer.document.get("results", []):
            if result.get("status") == "rejected":
                self.outcome.rejected[str(result.get("reason"))] += 1
            elif result.get("status") == "deduplicated":
                self.outcome.deduplicated += 1
            else:
                self.outcome.accepted += 1


def progress_file(directory: Path, *, url: str, space: str, chosen: Sequence[object]) -> Path:
    """Where the progress of a replay lies; named by all that decides what is sent where. `chosen` is what the operator
    asked for, in his words: "the last hour" goes on where it was stopped."""
    parts = urlsplit(url)
    text = json.dumps([parts.netloc, parts.path.rstrip("/"), space, *chosen])
    return directory / "rejected" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _read_progress(path: Path) -> dict[int, int]:
    try:
        return {int(partition): int(offset) for partition, offset in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write_progress(path: Path, offsets: dict[int, int]) -> None:
    write_atomically(path, json.dumps(offsets).encode())
