"""Delivers told changes as webhooks: signed, tried again with longer and longer pauses, then given up.

Signature and headers are those of Standard Webhooks (standardwebhooks.com): `webhook-id` is the id of the change, so a
receiver that drops ids it knows has each once, also where an answer was lost on its way.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import httpx
import structlog

from schemas.errors import UsageError
from streams.journeys.inbox import Delivery, Inbox

log = structlog.get_logger("funnelcast.journeys")
PAUSES_SECONDS: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800)
"""Before each further attempt: about 16 hours in all."""
ANSWER_SECONDS: Final = 15.0
AT_ONCE: Final = 8
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with
_LEAST_SECRET_BYTES: Final = 24
_GONE: Final = 410


class SecretError(UsageError):
    """A secret that cannot be used; the text never shows it."""


def parse_secret(text: str) -> bytes:
    """The key of `whsec_` and base64, 24 bytes or more. Raises SecretError."""
    try:
        key = base64.b64decode(text.strip().removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < _LEAST_SECRET_BYTES:
        raise SecretError(
            "the secret must be whsec_ and base64 of 24 bytes or more; make one with: "
            'echo "whsec_$(head -c 32 /dev/urandom | base64)"'
        )
    return key


def signature(key: bytes, *, change_id: str, seconds: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = hmac.new(key, f"{change_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


class WebhookSender:
    """Delivers what is due in an inbox. `clock_ms` is the wall clock."""

    def __init__(
        self, inbox: Inbox, client: httpx.AsyncClient, *, url: str, key: bytes, clock_ms: Callable[[], int]
    ) -> None:
        self._inbox = inbox
        self._client = client
        self._url = url
        self._key = key
        self._clock_ms = clock_ms

    async def deliver_due(self) -> int:
        """Try what is due, some at once; how many were tried."""
        due = self._inbox.due(self._clock_ms(), AT_ONCE)
        await asyncio.gather(*map(self._deliver, due))
        return len(due)

    async def _deliver(self, delivery: Delivery) -> None:
        change, seconds = delivery.change, self._clock_ms() // 1000
        headers = {
            "content-type": "application/json",
            "webhook-id": change.id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": signature(self._key, change_id=change.id, seconds=seconds, body=change.body),
        }
        is_gone = False
        try:
            answer = await self._client.post(self._url, content=change.body, headers=headers, timeout=ANSWER_SECONDS)
            error, is_gone = f"answered {answer.status_code}", answer.status_code == _GONE
            is_done = answer.is_success
        except httpx.HTTPError as failure:
            error, is_done = type(failure).__name__, False
        if is_done:
            self._inbox.delivered(change.id)
            return
        attempt = delivery.attempts + 1
        is_over = is_gone or attempt > len(PAUSES_SECONDS)
        pause = None if is_over else PAUSES_SECONDS[attempt - 1]
        self._inbox.failed(change.id, due_ms=None if pause is None else self._clock_ms() + 1000 * pause, error=error)
        log.warning("delivery_failed", id=change.id, attempt=attempt, error=error, next_seconds=pause)
