"""A client that repeats itself is heard once in a while, and the log says how often it did."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import httpx
import pytest
import structlog

from funnelcast.logs import RateLimit, configure_logs
from tests.support.log_lines import plain_log_lines


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    plain_log_lines()


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


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_traceback_shows_no_values(is_terminal: bool, monkeypatch: pytest.MonkeyPatch, logs_as_before: None) -> None:
    def fail(body: str) -> None:
        raise RuntimeError("a bug")

    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs()
    try:
        fail("ann@example.com" + " of a secret")
    except RuntimeError:
        structlog.get_logger("funnelcast.test").exception("request_failed")
    assert "a bug" in stream.getvalue()
    assert "ann@example.com of a secret" not in stream.getvalue()


def test_addresses_that_are_asked_are_not_logged(monkeypatch: pytest.MonkeyPatch, logs_as_before: None) -> None:
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    configure_logs()
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.get("https://crm.example.com/rest/1/secret/crm.deal.get")
    assert stream.getvalue() == ""
