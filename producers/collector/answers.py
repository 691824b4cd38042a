"""Answers that are about the collector itself, not about events. Values only."""

from __future__ import annotations

from typing import Final

from producers.http.messages import JSON, Answer, error_body

FAILED: Final = Answer(500, error_body("internal", "the collector failed on this request", "see its log"), (JSON,))
"""A bug: it costs this request."""


def unavailable(detail: str, retry_after_seconds: int) -> Answer:
    """503 while Kafka is away or slow, or the collector is full."""
    body = error_body("unavailable", "events cannot be taken now; send the same again", detail)
    return Answer(503, body, (JSON, (b"retry-after", b"%d" % max(1, retry_after_seconds))))
