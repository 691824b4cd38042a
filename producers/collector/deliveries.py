"""Which deliveries of webhooks are stored already: vendors send the same one again, sometimes twice at once.

A bounded memory of this process, for the common case. A copy that comes after a restart, or through another collector,
is recognised by the worker, because its events have the same ids. Does no I/O.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from schemas.times import DAY_MS

DeliveryKey = tuple[str, str, str]
"""(source, route, the delivery's own name): two sources never share a name."""


class Deliveries:
    """`begin` says whether to store a delivery, `end` whether it was stored. A copy that arrives while the first is
    being stored waits for it, and is stored itself where the first one failed."""

    def __init__(self, *, size: int = 100_000, keep_ms: int = DAY_MS) -> None:
        self._size = size
        self._keep_ms = keep_ms
        self._stored: OrderedDict[DeliveryKey, int] = OrderedDict()
        self._under_way: dict[DeliveryKey, asyncio.Event] = {}

    def __len__(self) -> int:
        return len(self._stored)

    async def begin(self, key: DeliveryKey, now_ms: int) -> bool:
        """Whether the delivery is new; then `end` must follow."""
        while True:
            stored_ms = self._stored.get(key)
            if stored_ms is not None and now_ms - stored_ms < self._keep_ms:
                return False
            first = self._under_way.get(key)
            if first is None:
                self._under_way[key] = asyncio.Event()
                return True
            await first.wait()

    def end(self, key: DeliveryKey, now_ms: int, *, is_stored: bool) -> None:
        """The delivery was stored, or was not."""
        self._under_way.pop(key).set()
        if is_stored:
            self._stored[key] = now_ms
            self._stored.move_to_end(key)
            self._forget(now_ms)

    def _forget(self, now_ms: int) -> None:
        while self._stored:
            key, stored_ms = next(iter(self._stored.items()))
            if len(self._stored) <= self._size and now_ms - stored_ms < self._keep_ms:
                return
            del self._stored[key]
