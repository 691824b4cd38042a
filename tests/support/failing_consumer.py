"""A consumer of aiokafka whose last fetch has failed."""

from __future__ import annotations

import asyncio
from typing import Any


class FailingConsumer:
    """As aiokafka: it ends a fetch that pauses after an error, and raises that."""

    def __init__(self) -> None:
        self._client = self
        self.is_closed = False

    async def stop(self) -> None:
        """See aiokafka."""
        fetch = asyncio.ensure_future(asyncio.Event().wait())
        await asyncio.sleep(0)
        fetch.cancel()
        await fetch

    def subscribe(self, topics: list[str], listener: Any) -> None:
        """Nothing comes."""

    async def start(self) -> None:
        """At once."""

    async def close(self) -> None:
        """Of its client."""
        self.is_closed = True
