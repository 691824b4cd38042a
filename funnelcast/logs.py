"""Logs of every process: one JSON object a line on stderr, or readable lines on a terminal. Decides no content."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from funnelcast.structlog_alone import structlog
from schemas.text import printable, printable_lines

Line = MutableMapping[str, Any]
_QUIET = ("aiokafka", "faust", "mode", "kafka", "httpx", "httpcore", "asyncio", "uvicorn.access")
_OF_LINES = frozenset({"exception", "stack", "message"})
_CHATTER_SECONDS = 10.0


class RateLimit(logging.Filter):
    """Lets one record per logger, level and message template pass in `seconds`: a client without its broker repeats
    itself sixty times a second. How many did not pass stands in the next one that does."""

    def __init__(self, seconds: float = _CHATTER_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        key = (record.name, record.levelno, str(record.msg))
        now = self._clock()
        passed_at, suppressed = self._seen.get(key, (-self._seconds, 0))
        if now - passed_at < self._seconds:
            self._seen[key] = (passed_at, suppressed + 1)
            return False
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen[key] = (now, 0)
        if suppressed:
            record.msg = f"{record.getMessage()} ({suppressed} more like this)"
            record.args = ()
        return True


def _printable(logger: Any, method: str, line: Line) -> Line:  # noqa: ARG001 - as structlog calls it
    """Nothing of an event steers the terminal; a traceback keeps its lines. (JSON escapes by itself.)"""
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = printable_lines(value) if name in _OF_LINES else printable(value)
    return line


def configure_logs(level: str = "INFO") -> None:
    """Send structlog and the standard library's logging to stderr. Call once, first thing in a command."""
    shared: list[Callable[[Any, str, Line], Any]] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    human = sys.stderr.isatty()
    final: Any = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    chain: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    # a traceback with the values of its variables would show bodies, keys and e-mails
    chain.append(structlog.processors.format_exc_info)
    if human:
        chain.append(_printable)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*chain, final]))
    limit = RateLimit()
    handler.addFilter(lambda record: limit.filter(record) if record.name.partition(".")[0] in _QUIET else True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
