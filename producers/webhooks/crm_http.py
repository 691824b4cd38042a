"""The HTTP that the CRMs share. The only module of webhooks that knows httpx.

A request waits for its turn (the vendors' rate limits); one 429 pauses all requests of its hook; contacts, users and
pipelines are remembered for a while.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Final

import httpx

from producers.webhooks.crm import CrmRefusedError, CrmUnavailableError

MAX_PAUSE_SECONDS: Final = 300.0
_REMEMBERED: Final = 20_000
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@cache
def _tls() -> ssl.SSLContext:
    """One for all CRMs: it holds every authority that the machine trusts."""
    return httpx.create_ssl_context()


class Pace:
    """Lets requests through one after the other, no faster than `rate` a second."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next = 0.0
        self._held_until = 0.0
        self._queue = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for it. Each is counted from when the last was given: a loop that stood still lets no crowd go."""
        clock = asyncio.get_running_loop().time
        async with self._queue:
            while (wait := max(self._next, self._held_until) - clock()) > 0:  # noqa: ASYNC110 - a hold may come meanwhile
                await asyncio.sleep(wait)
            self._next = clock() + self._interval

    def hold(self, seconds: float) -> None:
        """No request for so long."""
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + seconds)


class Cache:
    """Answers by request, for `seconds`; the oldest go first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answers: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def get(self, key: str) -> tuple[bool, Any]:
        """(whether it is known, the answer)."""
        entry = self._answers.get(key)
        if entry is None or time.monotonic() - entry[0] > self._seconds:
            return False, None
        return True, entry[1]

    def put(self, key: str, answer: Any) -> None:
        """Remember."""
        self._answers.pop(key, None)
        self._answers[key] = (time.monotonic(), answer)
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)


class CrmHttp:
    """GETs JSON of one CRM. `counted(status)` hears of every answer; the status is 0 where there was none."""

    def __init__(
        self,
        *,
        base: str,
        headers: Mapping[str, str],
        rate: float,
        timeout_seconds: float,
        keep_seconds: float,
        counted: Callable[[int], None] = lambda status: None,
    ) -> None:
        self._base = base
        self._client = httpx.AsyncClient(
            headers=dict(headers), timeout=timeout_seconds, follow_redirects=False, verify=_tls()
        )
        self._pace = Pace(rate)
        self._cache = Cache(keep_seconds)
        self._counted = counted

    async def get(self, path: str, *ids: str | None, params: Mapping[str, str] | None = None) -> Any:
        """See `CrmClient`."""
        if not all(one is not None and _ID.fullmatch(one) for one in ids):
            return None
        await self._pace.turn()
        try:
            answer = await self._client.get(self._base + path.format(*ids), params=params)
        except httpx.HTTPError as error:
            self._counted(0)
            raise CrmUnavailableError(f"no answer: {type(error).__name__}") from None
        self._counted(answer.status_code)
        return self._read(answer)

    async def remembered(self, path: str, *ids: str | None, params: Mapping[str, str] | None = None) -> Any:
        """See `CrmClient`."""
        key = f"{path} {ids} {sorted((params or {}).items())}"
        is_known, answer = self._cache.get(key)
        if is_known:
            return answer
        try:
            answer = await self.get(path, *ids, params=params)
        except CrmRefusedError:
            answer = None
        self._cache.put(key, answer)
        return answer

    def _read(self, answer: httpx.Response) -> Any:
        status = answer.status_code
        if status in (204, 404, 410):
            return None
        try:
            document = answer.json() if answer.content else None
        except ValueError:
            document = None
        error = str(document.get("error") or "") if isinstance(document, dict) else ""
        if status == 429 or status >= 500 or error in _BUSY:
            raise self._busy(answer, error)
        if status in (401, 402, 403) or error in _REFUSED:
            raise CrmRefusedError(f"status {status} {error}".strip())
        if status == 400 and document is not None:
            return None  # Bitrix24's way to say that there is no such thing
        if status != 200 or document is None:
            raise CrmUnavailableError(f"status {status} without JSON")
        return document

    def _busy(self, answer: httpx.Response, error: str) -> CrmUnavailableError:
        pause = retry_after(answer.headers.get("retry-after"), time.time())
        if pause is not None:
            self._pace.hold(pause)
        return CrmUnavailableError(f"status {answer.status_code} {error}".strip(), pause)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


_BUSY: Final = frozenset({"QUERY_LIMIT_EXCEEDED", "OVERLOAD_LIMIT", "OPERATION_TIME_LIMIT", "INTERNAL_SERVER_ERROR"})
_REFUSED: Final = frozenset(
    {"NO_AUTH_FOUND", "INVALID_CREDENTIALS", "insufficient_scope", "expired_token", "ACCESS_DENIED", "INVALID_REQUEST"}
)


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date; at most MAX_PAUSE_SECONDS."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - now
        except ValueError:
            return None
    return min(max(seconds, 0.0), MAX_PAUSE_SECONDS) if seconds == seconds else None
