"""Admission of requests: which pages may use a browser's key, and the rate limits. Decides; counts nothing and logs one
warning.

In the memory of one process. A key of the scope server or historical that has no rate of its own is not limited.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from producers.access.origins import check_page
from producers.collector.ratelimit import Level, RateLimits, TokenBuckets, bucket_of
from producers.formats.port import Request
from producers.http.body import RequestError
from producers.http.messages import JSON, Answer, Header, error_body
from producers.ingest.verdicts import Scope, Sender
from schemas.reasons import RejectReason

log = structlog.get_logger("funnelcast.collector")
_WORDS: Final = {
    "key": "too many events with this write key",
    "address": "too many requests from this address",
    "refused": "too many refused requests from this address",
}


class RateLimitedError(Exception):
    """The sender must wait. `by` is the limit that was exceeded, as the metric names it."""

    def __init__(self, by: str, level: Level) -> None:
        super().__init__(_WORDS[by])
        self.by = by
        self.level = level


class Admission:
    """One per process. `clock` gives monotonic seconds."""

    def __init__(self, limits: RateLimits | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or RateLimits()
        self._clock = clock
        self._keys = TokenBuckets()
        self._addresses = TokenBuckets()
        self._refused = TokenBuckets()
        self._has_warned = False

    def admit(self, request: Request, sender: Sender, *, is_from_page: bool = False) -> None:
        """Raises RequestError where the page is not listed or has a key that must not be on a page, RateLimitedError
        where the rate is exceeded."""
        if is_from_page and sender.scope is not Scope.BROWSER:
            raise RequestError(
                RejectReason.WRONG_ORIGIN,
                f"a key of the scope {sender.scope} is secret, and this request comes from a page",
                "revoke it (funnelcast keys revoke) and give the page one of its own: funnelcast keys create",
            )
        if sender.origins:
            check_page(request.headers, sender.origins)
        rate = sender.rate or self._limits.key
        if rate is not None and not (level := self._keys.look(_key(sender), rate, self._clock())).is_allowed:
            request.limits = shown(level)
            raise RateLimitedError("key", level)
        if sender.scope is Scope.BROWSER:
            self._admit_address(request)

    def _admit_address(self, request: Request) -> None:
        rate, bucket = self._limits.address, bucket_of(request.address)
        if rate is None or bucket is None:
            if rate is not None and not self._has_warned and b"x-forwarded-for" in request.headers:
                self._has_warned = True
                log.warning("private_address_not_limited", message="if it is a proxy, name it with --trusted-proxies")
            return
        level = self._addresses.take(bucket, rate, self._clock())
        request.limits = shown(level)
        if not level.is_allowed:
            raise RateLimitedError("address", level)

    def charge(self, request: Request, sender: Sender, events: int) -> None:
        """Take the events of an admitted request from its key, before anything else is awaited."""
        rate = sender.rate or self._limits.key
        if rate is not None:
            request.limits = shown(self._keys.take(_key(sender), rate, self._clock(), max(1, events)))

    def refused(self, request: Request) -> None:
        """A request was refused before its sender was known. Raises RateLimitedError where there were too many."""
        rate, bucket = self._limits.refused, bucket_of(request.address)
        if rate is None or bucket is None:
            return
        level = self._refused.take(bucket, rate, self._clock())
        if not level.is_allowed:
            request.limits = shown(level)
            raise RateLimitedError("refused", level)


def _key(sender: Sender) -> str:
    return sender.id or sender.source


def shown(level: Level) -> tuple[Header, ...]:
    """The headers of an answer where a limit applies: tokens at most, tokens left, seconds until it is full again."""
    return (
        (b"x-ratelimit-limit", b"%d" % level.limit),
        (b"x-ratelimit-remaining", b"%d" % level.remaining),
        (b"x-ratelimit-reset", b"%d" % level.reset_seconds),
    )


def too_many(error: RateLimitedError) -> Answer:
    """429 with `Retry-After`. Nothing was taken: neither counted as received nor written anywhere."""
    wait = error.level.wait_seconds
    body = error_body("rate_limited", str(error), f"send the same again in {wait} s")
    return Answer(429, body, (JSON, (b"retry-after", b"%d" % wait)))
