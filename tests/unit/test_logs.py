"""A client that repeats itself is heard once in a while, and the log says how often it did."""

from __future__ import annotations

import logging

from funnelcast.logs import RateLimit


def record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka.client", logging.ERROR, __file__, 1, message, args, None)


def test_one_of_many_like_it_passes_and_tells_of_the_others() -> None:
    now = [100.0]
    limit = RateLimit(10, clock=lambda: now[0])
    assert limit.filter(record("node %s is away", 1))
    assert not limit.filter(record("node %s is away", 2))
    assert not limit.filter(record("node %s is away", 3))
    assert limit.filter(record("something else"))
    now[0] += 11
    later = record("node %s is away", 4)
    assert limit.filter(later)
    assert later.getMessage() == "node 4 is away (2 more like this)"
    assert not limit.filter(record("node %s is away", 5))
