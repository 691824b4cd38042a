"""uvicorn's HTTP/1.1 connection with the bounds it lacks: how many there are, and how long one may stand still."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 100
"""One more is closed at once. Prometheus, probes and some readers need a few."""
MAX_HEAD_BYTES = 16 * 1024
LOOK_SECONDS = 10.0
"""A connection that has stood still from one look to the next is closed."""


class BoundedConnection(H11Protocol):
    """Closed when two looks find the same: no further request has arrived whole, or an answer is not being read.

    An answer that is being made, or has been sent as far as there is any, may take its time.
    """

    max_connections = MAX_CONNECTIONS
    look_seconds = LOOK_SECONDS
    _timer: asyncio.TimerHandle | None = None
    _last_seen: tuple[Any, bool] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._last_seen = self._state()
        self._timer = self.loop.call_later(self.look_seconds, self._look)

    def _look(self) -> None:
        state = self._state()
        _, is_being_made = state
        if state == self._last_seen and not is_being_made:
            self.transport.abort()
        else:
            self._look_again()

    def _state(self) -> tuple[Any, bool]:
        """(the newest request, whether its answer is being made and what there is of it has been sent)."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return self.cycle, not is_answered and self.transport.get_write_buffer_size() == 0
