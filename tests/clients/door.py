"""Stands between a client and a collector, and behaves as networks do: refuses, loses answers, finds no collector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.http import plain_client
from tests.support.served_collector import listening
from tests.support.waiting import LIMIT

_UNAVAILABLE = b'{"code":"unavailable","message":"try again","detail":""}'
_HOP_BY_HOP = (b"content-length", b"connection", b"transfer-encoding", b"date", b"server")


@dataclass
class Sent:
    """One request of the client, and what it was answered."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    status: int


@dataclass
class Door:
    """An ASGI application. `refuse` more event requests are answered 503; of `lose` more the collector takes what they
    hold, and the client is told 503 all the same."""

    collector: str
    port: int = 0
    refuse: int = 0
    lose: int = 0
    sent: list[Sent] = field(default_factory=list)
    found_nobody: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where the client sends."""
        return f"http://127.0.0.1:{self.port}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, message = b"", await receive()
        while message["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
            message = await receive()
        answer = await self._answer(scope, body)
        query = scope["query_string"].decode()
        self.sent.append(
            Sent(
                scope["method"],
                scope["path"] + (f"?{query}" if query else ""),
                {name.decode(): value.decode("latin-1") for name, value in scope["headers"]},
                body,
                answer.status_code,
            )
        )
        headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in _HOP_BY_HOP]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    async def _answer(self, scope: Any, body: bytes) -> httpx.Response:
        refusal = httpx.Response(503, content=_UNAVAILABLE, headers={"retry-after": "1"})
        if scope["method"] == "POST" and self.refuse > 0:
            self.refuse -= 1
            return refusal
        target = f"{self.collector}{scope['path']}?{scope['query_string'].decode()}"
        try:
            async with plain_client() as client:
                answer = await client.request(
                    scope["method"], target, content=body, headers=scope["headers"], timeout=LIMIT
                )
        except httpx.TransportError:
            self.found_nobody.set()
            return httpx.Response(502, content=b'{"code":"away","message":"nobody is there","detail":""}')
        if scope["method"] == "POST" and self.lose > 0 and answer.status_code == 200:
            self.lose -= 1
            return refusal
        return answer


@asynccontextmanager
async def opened(door: Door) -> AsyncIterator[Door]:
    """The door on a port of its own."""
    async with listening(door) as door.port:
        yield door
