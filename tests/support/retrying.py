"""Clients that send events without a pause, one request at a time, each until it is answered with 200."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.support.http import plain_client

PAUSE_SECONDS = 0.1


class RetryingClients:
    """`senders` clients, each with persons of its own. A connection that breaks and a 503 are tried again; anything
    else is a failure."""

    def __init__(self, url: str, senders: int = 4, persons: int = 25, pace: float = 0.0) -> None:
        self._url = url
        self._senders = senders
        self._persons = persons
        self._pace = pace
        self.acknowledged: list[str] = []
        """Ids in the order of their answers."""
        self.retries = 0
        self.is_over = False

    async def run(self) -> None:
        """Send until `is_over`; then every event that was begun is answered."""
        async with plain_client() as client:
            await asyncio.gather(*(self._send(client, sender) for sender in range(self._senders)))

    async def _send(self, client: httpx.AsyncClient, sender: int) -> None:
        number = 0
        while not self.is_over:
            number += 1
            event = {"id": f"{sender}-{number}", "name": "click", "anonymous_id": f"{sender}-{number % self._persons}"}
            while not await self._is_taken(client, event):
                self.retries += 1
                await asyncio.sleep(PAUSE_SECONDS)
            self.acknowledged.append(str(event["id"]))
            if self._pace:
                await asyncio.sleep(self._pace)

    async def _is_taken(self, client: httpx.AsyncClient, event: dict[str, Any]) -> bool:
        try:
            answer = await client.post(self._url, json=event)
        except httpx.TransportError:
            return False
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            return False
        assert answer.status_code == 200, answer.text
        assert answer.json()["accepted"] == 1, answer.text
        return True
