"""Server-sent events: answers of the API, sent again when they change, and how fresh they are, once a second.

`/v1/live?watch=/v1/summaries%3Ffunnel%3Dshop&watch=...` sends `event: answer` with `{"watch": 0, "status": 200,
"answer": {...}}` and `event: pulse`. What is sent is what the page of that address answers: there is no number here
that the API does not give. Everybody who watches the same address shares one answer, and an answer that takes long to
make is made less often.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streams.api.parameters import ParameterError, parse_query
from streams.report.services.pulse import Pulse
from streams.store.port import StoreError
from streams.web.pages import Page, PageAnswer, PageRequest, StreamedAnswer, error_page

LIVE: Final = "/v1/live"
EVENT_STREAM: Final = "text/event-stream"
MAX_STREAMS, MAX_WATCHES = 60, 12
PERIOD_SECONDS: Final = 1.0
_REST: Final = 10
"""An answer is made again no sooner than after so many times as long as it took."""


@dataclass(slots=True)
class _Watched:
    """The newest answer of one address."""

    making: asyncio.Task[PageAnswer]
    began: float
    seconds: float = 0.0
    """How long it took to make; 0 while it was no answer: it is asked for again at once when the store is back."""


class LiveStreams:
    """One per process. `pages` are the API's own."""

    def __init__(
        self,
        pages: Mapping[str, Page],
        pulse: Callable[[], Awaitable[Pulse]],
        *,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        self._pages = pages
        self._pulse = pulse
        self._period = period_seconds
        self._watched: dict[str, _Watched] = {}
        self._streams = 0
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End every stream, so that a stopping server need not wait for its readers."""
        self._stopped.set()

    async def page(self, request: PageRequest) -> PageAnswer | StreamedAnswer:
        """The stream of the addresses asked for."""
        try:
            watches = parse_query(request.query, single=(), repeated=("watch",)).get("watch", [])
            self._check(watches)
        except ParameterError as error:
            return error_page(400, code="bad_parameter", message=str(error), detail="docs/page.md describes the stream")
        if self._streams >= MAX_STREAMS:
            text = f"{MAX_STREAMS} streams are open, which is the most; close a page, or ask the API now and then"
            return error_page(503, code="too_many_streams", message=text, headers={"retry-after": "10"})
        return StreamedAnswer(self._events(watches), EVENT_STREAM)

    def _check(self, watches: Sequence[str]) -> None:
        if not 1 <= len(watches) <= MAX_WATCHES:
            raise ParameterError(f"watch 1 to {MAX_WATCHES} addresses, e.g. watch=/v1/summaries")
        for watch in watches:
            path = watch.partition("?")[0]
            if path not in self._pages or path.endswith(".csv"):
                known = ", ".join(each for each in self._pages if not each.endswith(".csv"))
                raise ParameterError(f"{path!r} cannot be watched; there are: {known}")

    async def _events(self, watches: Sequence[str]) -> AsyncIterator[bytes]:
        """Until the reader leaves or the server stops."""
        sent: dict[str, PageAnswer] = {}
        self._streams += 1
        try:
            yield b"retry: 2000\n\n"
            while not self._stopped.is_set():
                yield await self._pulse_event()
                for number, watch in enumerate(watches):
                    answer = await self._answer(watch)
                    if sent.get(watch) != answer:
                        sent[watch] = answer
                        yield _answer_event(number, answer)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), self._period)
        finally:
            self._streams -= 1
            if not self._streams:
                self._watched.clear()

    async def _answer(self, watch: str) -> PageAnswer:
        """At most as old as a period, or as its cost allows."""
        known, now = self._watched.get(watch), time.monotonic()
        if known is None or (known.making.done() and now - known.began >= max(self._period, _REST * known.seconds)):
            known = self._watched[watch] = _Watched(asyncio.create_task(self._make(watch)), now)
        return await asyncio.shield(known.making)

    async def _make(self, watch: str) -> PageAnswer:
        path, _, query = watch.partition("?")
        began = time.monotonic()
        answer = await self._pages[path](PageRequest(query))
        assert isinstance(answer, PageAnswer)  # noqa: S101 - no page of the API is a stream itself
        if answer.status != 503 and (known := self._watched.get(watch)) is not None:
            known.seconds = time.monotonic() - began
        return answer

    async def _pulse_event(self) -> bytes:
        try:
            return _event("pulse", await self._pulse())
        except StoreError:
            return b": the store cannot be read\n\n"


def _answer_event(number: int, answer: PageAnswer) -> bytes:
    head = f'event: answer\ndata: {{"watch":{number},"status":{answer.status},"answer":'.encode()
    return head + answer.body.replace(b"\n", b" ") + b"}\n\n"


def _event(name: str, document: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(document)}\n\n".encode()
