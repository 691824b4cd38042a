"""Log lines as tests write them, unless a test is about log lines."""

from __future__ import annotations

import structlog


def plain_log_lines() -> None:
    """At the start of a run, and after a test that configured logs: a traceback with its source in colours costs half a
    second, and tests log many on purpose."""
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            *structlog.get_config()["processors"][:-1],
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    )
