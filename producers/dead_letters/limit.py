"""A limit on dead letters, for each source: after a bad deploy senders keep their events instead of pouring them into
the rejected topic. Good requests pass. The time is an argument; logs when a source reaches the limit."""

from __future__ import annotations

from typing import Final

import structlog

from producers.sink.port import SinkUnavailableError

log = structlog.get_logger("funnelcast.dead_letters")
_WINDOW_MS: Final = 60_000


class DeadLetterLimit:
    """At most `per_minute` dead letters of one source; 0 is no limit. A window begins with its first dead letter."""

    def __init__(self, per_minute: int = 0) -> None:
        self._per_minute = per_minute
        self._windows: dict[str, tuple[int, int, bool]] = {}
        """By source: when the window began, dead letters written in it, whether it was said to be full."""

    def shared_by(self, processes: int) -> DeadLetterLimit:
        """The part of one of several processes that share a limit."""
        return DeadLetterLimit(max(1, self._per_minute // processes) if self._per_minute else 0)

    def check(self, source: str, *, dead_letters: int, now_ms: int) -> None:
        """Raises SinkUnavailableError where these dead letters would be too many. A single request may hold as many
        as it does: it could never be written otherwise."""
        if not dead_letters or not self._per_minute:
            return
        began_ms, written, was_said = self._window(source, now_ms)
        if not written or written + dead_letters <= self._per_minute:
            return
        if not was_said:
            log.error(
                "dead_letter_limit_reached",
                message="more rejected events of this source are answered 503",
                source=source,
                written=written,
            )
        self._windows[source] = (began_ms, written, True)
        seconds = max(1, -(-(began_ms + _WINDOW_MS - now_ms) // 1000))
        raise SinkUnavailableError(
            f"source {source!r} had {written} events rejected within a minute, the limit is {self._per_minute}; fix "
            "what it sends (`funnelcast rejected list`), and send this again",
            seconds,
        )

    def add(self, source: str, *, dead_letters: int, now_ms: int) -> None:
        """Count dead letters that were written."""
        if dead_letters and self._per_minute:
            began_ms, written, was_said = self._window(source, now_ms)
            self._windows[source] = (began_ms, written + dead_letters, was_said)

    def _window(self, source: str, now_ms: int) -> tuple[int, int, bool]:
        window = self._windows.get(source)
        if window is None or not 0 <= now_ms - window[0] < _WINDOW_MS:
            return now_ms, 0, False
        return window
