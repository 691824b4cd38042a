"""Sends requests over plain connections, so that nothing stands between them and the server, and reads the answers."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

from funnelcast.fuzz.requests import ABORTED, QUEUED, SLOW, STALLED, FuzzRequest

ANSWER_SECONDS: Final = 45.0
"""Longer than the collector waits for a body."""
_PAUSE_SECONDS: Final = 0.02
_NO_BODY: Final = frozenset({204, 304})
_BIG: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0: the connection was closed without a word."""

    status: int
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


CLOSED: Final = Answer(0)
HUNG: Final = Answer(-1)
"""Neither an answer nor the end of the connection in time."""

GARBLED: Final = Answer(-2)
"""Something that is no HTTP."""


class Connection:
    """One connection after another to one server; one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: FuzzRequest) -> Answer:
        """The answer to a request. A connection that the server had closed meanwhile is replaced once."""
        is_own = request.may_be_no_http or request.way in (SLOW, ABORTED, STALLED, QUEUED)
        if is_own:
            await self.close()
        was_used = self._streams is not None
        answer = await self._try(request)
        if answer is CLOSED and was_used:
            answer = await self._try(request)
        if is_own or answer.status <= 0 or answer.headers.get(b"connection", b"").lower() == b"close":
            await self.close()
        return answer

    async def close(self) -> None:
        """End the connection."""
        if self._streams is None:
            return
        _, writer = self._streams
        self._streams = None
        writer.transport.abort()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    async def _try(self, request: FuzzRequest) -> Answer:
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._host, self._port, limit=_BIG)
            reader, writer = self._streams
            await asyncio.wait_for(_write(writer, request), ANSWER_SECONDS)
            for _ in range(2 if request.way == QUEUED else 0):
                await asyncio.wait_for(_read(reader, is_head=False), ANSWER_SECONDS)
            return await asyncio.wait_for(_read(reader, is_head=request.method == b"HEAD"), ANSWER_SECONDS)
        except TimeoutError:
            await self.close()
            return HUNG
        except (ValueError, IndexError):
            await self.close()
            return GARBLED
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await self.close()
            return CLOSED


async def _write(writer: asyncio.StreamWriter, request: FuzzRequest) -> None:
    wire = request.wire()
    if request.way == SLOW:
        size = len(wire) // (2 + request.number % 9) + 1
        for start in range(0, len(wire), size):
            writer.write(wire[start : start + size])
            await writer.drain()
            await asyncio.sleep(_PAUSE_SECONDS)
        return
    writer.write(wire[: len(wire) - len(request.body) // 2 - 1] if request.way in (ABORTED, STALLED) else wire)
    with contextlib.suppress(OSError):  # an answer may be there although not all was taken
        await writer.drain()
        if request.may_be_no_http and request.way != STALLED:
            writer.write_eof()  # what the server still waits for will never come


async def _read(reader: asyncio.StreamReader, *, is_head: bool) -> Answer:
    while True:
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        status = int(lines[0].split(b" ", 2)[1])
        headers: dict[bytes, bytes] = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        if status >= 200:
            break
    if is_head or status in _NO_BODY:
        return Answer(status, headers)
    if headers.get(b"transfer-encoding") == b"chunked":
        return Answer(status, headers, await _chunks(reader))
    if b"content-length" in headers:
        return Answer(status, headers, await reader.readexactly(int(headers[b"content-length"])))
    return Answer(status, headers, await reader.read())


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body
