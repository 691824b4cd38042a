"""How our own tools send to a collector: one policy of what is tried again, how long, and after which pauses.

Sends bytes and hands back the answer; what is in them, and what an answer means, is the caller's business.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import httpx
from tenacity import AsyncRetrying, RetryCallState, RetryError, retry_if_exception_type, wait_exponential

from schemas.errors import TryAgainError, UsageError

Address: TypeAlias = str | Callable[[], str]
"""A URL, or what says it at every try: of a collector that may come back elsewhere."""
REQUEST_SECONDS: Final = 30.0
TRIED_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses by which a server says "not now": 408 and 425 (the request did not come through), 429 (too fast), 500, 502,
503, 504 (the collector or a proxy before it is in trouble). The same request may be taken later. Every other status is
an answer: to repeat it would get the same one."""
_JITTER: Final = (0.8, 1.2)
"""Clients that lost a collector at the same moment must not come back at the same moment."""


class CollectorRefusedError(UsageError):
    """The collector refuses the whole request, and would again; the text says what to change."""


class _NotNowError(Exception):
    """One try was not answered. `asked_seconds`: the pause that the server asks for."""

    def __init__(self, why: str, asked_seconds: float = 0.0) -> None:
        super().__init__(why)
        self.asked_seconds = asked_seconds


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a request is tried again. Pauses double up to `longest_pause_seconds`."""

    patience_seconds: float
    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 10.0
    longest_asked_seconds: float = 10.0
    """The most that a `Retry-After` of the server is waited for."""
    advice: str = ""
    """What to do when the patience is over; ends the error's text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer. `document` is its JSON object, empty where it is none."""

    status: int
    document: dict[str, Any]
    text: str

    @property
    def code(self) -> str:
        """The error's code; the status where the answer has none, as that of a proxy."""
        return str(self.document.get("code", self.status))

    @property
    def explanation(self) -> str:
        """What the collector says about an error."""
        return f"{self.document.get('message', self.text[:200])} {self.document.get('detail', '')}".strip()

    def results(self, url: str) -> list[dict[str, Any]]:
        """Verdicts on the events of an accepted request. Raises CollectorRefusedError where it was not one."""
        results = self.document.get("results")
        if self.status != 200 or not isinstance(results, list):
            raise CollectorRefusedError(f"{url} answered {self.status}: {self.explanation}")
        return results


@dataclass(slots=True)
class CollectorClient:
    """Posts to one collector with one key. May be used by several tasks at once."""

    client: httpx.AsyncClient
    key: str | None
    policy: RetryPolicy
    check: Callable[[], None] = lambda: None
    """Called before every try: raises when sending has become pointless."""
    on_wait: Callable[[str], None] = lambda why: None
    """Called before every pause, with the reason."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic

    async def post_until_answered(self, url: Address, body: bytes, *, headers: Mapping[str, str]) -> Answer:
        """The first final answer. Raises TryAgainError when there is none in time, and whatever `check` raises."""
        policy = self.policy
        deadline = self.clock() + policy.patience_seconds
        growth = wait_exponential(multiplier=policy.first_pause_seconds, max=policy.longest_pause_seconds)
        tries = AsyncRetrying(
            retry=retry_if_exception_type(_NotNowError),
            stop=lambda state: self.clock() > deadline,
            wait=lambda state: max(_failure(state).asked_seconds, growth(state) * random.uniform(*_JITTER)),
            before_sleep=lambda state: self.on_wait(str(_failure(state))),
            sleep=self.sleep,
        )
        try:
            answer: Answer = await tries(self._try, url, body, headers=headers)
        except RetryError as error:
            why = error.last_attempt.exception()
            text = f"{written(url)} took nothing for {policy.patience_seconds:.0f} s ({why}); {policy.advice}"
            raise TryAgainError(text.removesuffix("; ")) from None
        return answer

    async def _try(self, url: Address, body: bytes, *, headers: Mapping[str, str]) -> Answer:
        self.check()
        sent = dict(headers) if self.key is None else {**headers, "X-Write-Key": self.key}
        try:
            response = await self.client.post(written(url), content=body, headers=sent, timeout=REQUEST_SECONDS)
        except httpx.TransportError as error:
            raise _NotNowError(f"no connection: {error or repr(error)}") from None
        if response.status_code in TRIED_AGAIN:
            asked_seconds = min(_retry_after(response), self.policy.longest_asked_seconds)
            raise _NotNowError(f"status {response.status_code} {response.text[:200]}".strip(), asked_seconds)
        return Answer(response.status_code, _object_in(response), response.text)


def written(url: Address) -> str:
    """The URL as it is now."""
    return url if isinstance(url, str) else url()


def _failure(state: RetryCallState) -> _NotNowError:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, _NotNowError)  # noqa: S101 - nothing else is tried again
    return error


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _object_in(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
