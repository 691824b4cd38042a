"""How much one key and one address may send: token buckets. Pure: the time (monotonic seconds) is an argument.

A bucket holds at most `burst` tokens and gains `rate` a second. A request may go on if there is one token, and its cost
is taken afterwards, even below zero: how many events it has is known only when it has been read, and a batch larger
than the burst must get through at some time. Over a longer time no sender gets more than `rate`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

BURST_SECONDS: Final = 5.0
"""A bucket holds so many seconds' worth."""
MOST_BUCKETS: Final = 50_000
_OWN_NETWORKS: Final = tuple(
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)


@dataclass(frozen=True, slots=True)
class Level:
    """How a bucket stands. `reset_seconds`: until it is full again; `wait_seconds`: until one more is allowed."""

    limit: int
    remaining: int
    reset_seconds: int
    wait_seconds: int

    @property
    def is_allowed(self) -> bool:
        """Whether one more is allowed."""
        return self.wait_seconds == 0


@dataclass(frozen=True, slots=True)
class RateLimits:
    """`address`: requests a second of one address with a browser's key. `refused`: refused requests a second of one
    address. `key`: events a second of a key that has no rate of its own. None: no limit."""

    address: float | None = 200.0
    refused: float | None = 10.0
    key: float | None = None

    def shared_by(self, processes: int) -> RateLimits:
        """The part of each of several processes: connections spread over them, and they share no memory."""
        parts = (None if one is None else one / processes for one in (self.address, self.refused, self.key))
        return RateLimits(*parts)


class TokenBuckets:
    """A bucket for each key, for the `most` keys that were used last: a bucket that is forgotten was nearly always full
    again. Every call takes the same time, however many there are."""

    def __init__(self, *, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def look(self, key: str, rate: float, now: float) -> Level:
        """How the bucket stands."""
        return _level(self._tokens(key, rate, now), rate)

    def take(self, key: str, rate: float, now: float, cost: float = 1.0) -> Level:
        """Take `cost` where one is allowed, else nothing; how the bucket stands then (as before where nothing was
        taken)."""
        tokens = self._tokens(key, rate, now)
        if tokens < 1:
            return _level(tokens, rate)
        left = tokens - cost
        self._buckets[key] = (left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        level = _level(left, rate)
        return Level(level.limit, level.remaining, level.reset_seconds, 0)

    def _tokens(self, key: str, rate: float, now: float) -> float:
        burst = _burst(rate)
        bucket = self._buckets.get(key)
        if bucket is None:
            return burst
        tokens, refilled_at = bucket
        return min(burst, tokens + max(0.0, now - refilled_at) * rate)


def _burst(rate: float) -> float:
    return max(1.0, rate * BURST_SECONDS)


def _level(tokens: float, rate: float) -> Level:
    burst = _burst(rate)
    wait = 0 if tokens >= 1 else max(1, math.ceil((1 - tokens) / rate))
    return Level(int(burst), max(0, int(tokens)), math.ceil((burst - tokens) / rate), wait)


@lru_cache(maxsize=16_384)
def bucket_of(address: str) -> str | None:
    """Which bucket an address uses: an IPv4 address its own, an IPv6 one that of its /64 (one customer has all of it).
    None where senders cannot be told apart: this machine and private networks (there may be proxies that are not
    configured as such), and what is no address."""
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if any(ip in network for network in _OWN_NETWORKS):
        return None
    return str(ip_network(f"{ip}/64", strict=False)) if isinstance(ip, IPv6Address) else str(ip)
