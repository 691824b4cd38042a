"""Token buckets: over any time nobody gets more than burst + rate * time, and memory has a bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producers.collector.ratelimit import BURST_SECONDS, RateLimits, TokenBuckets, bucket_of
from tests.support.rows import rows


def test_a_burst_then_one_for_each_token_that_comes_back() -> None:
    buckets = TokenBuckets()
    assert [buckets.take("k", 2, 0.0).is_allowed for _ in range(11)] == [True] * 10 + [False]
    assert not buckets.take("k", 2, 0.4).is_allowed
    assert buckets.take("k", 2, 0.5).is_allowed
    assert not buckets.take("k", 2, 0.5).is_allowed


def test_what_a_bucket_says_of_itself() -> None:
    buckets = TokenBuckets()
    first = buckets.take("k", 2, 0.0)
    assert (first.limit, first.remaining, first.reset_seconds, first.wait_seconds) == (10, 9, 1, 0)
    for _ in range(9):
        buckets.take("k", 2, 0.0)
    empty = buckets.take("k", 2, 0.0)
    assert (empty.limit, empty.remaining, empty.reset_seconds, empty.wait_seconds) == (10, 0, 5, 1)


def test_a_batch_larger_than_the_burst_gets_through_and_is_paid_off() -> None:
    buckets = TokenBuckets()
    assert buckets.take("k", 1, 0.0, cost=100).is_allowed
    assert buckets.look("k", 1, 0.0).wait_seconds == 96
    assert not buckets.look("k", 1, 95.0).is_allowed
    assert buckets.look("k", 1, 96.0).is_allowed


def test_a_slow_rate_allows_one_at_a_time() -> None:
    buckets = TokenBuckets()
    assert buckets.take("k", 0.01, 0.0).is_allowed
    assert buckets.take("k", 0.01, 1.0).wait_seconds == 99
    assert buckets.take("k", 0.01, 100.0).is_allowed


def test_looking_takes_nothing_and_remembers_nobody() -> None:
    buckets = TokenBuckets()
    assert all(buckets.look("k", 1, 0.0).remaining == 5 for _ in range(100))
    assert len(buckets) == 0


def test_a_clock_that_stands_still_gives_nothing() -> None:
    buckets = TokenBuckets()
    for _ in range(5):
        buckets.take("k", 1, 5.0)
    assert not buckets.look("k", 1, 5.0).is_allowed


def test_the_oldest_are_forgotten() -> None:
    buckets = TokenBuckets(most=3)
    for name in "abcabcda":
        buckets.take(name, 1, 0.0)
    assert len(buckets) == 3
    assert buckets.look("b", 1, 0.0).remaining == 5
    assert buckets.look("c", 1, 0.0).remaining == 3


@given(
    st.lists(st.tuples(st.floats(0, 5, allow_nan=False), st.integers(1, 20)), max_size=60),
    st.sampled_from([0.5, 1.0, 3.0, 40.0]),
)
def test_nobody_gets_more_than_the_rate_over_time(asked: list[tuple[float, int]], rate: float) -> None:
    buckets, now, taken = TokenBuckets(), 0.0, 0
    for pause, cost in asked:
        now += pause
        if buckets.take("k", rate, now, cost).is_allowed:
            taken += cost
        # one batch may go into debt: at most its own size beyond the law
        assert taken <= max(1.0, rate * BURST_SECONDS) + rate * now + 20


@rows(
    ("address", "bucket"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.0.0.1", None),
        ("127.8.8.8", None),
        ("10.1.2.3", None),
        ("172.17.0.1", None),
        ("172.32.0.1", "172.32.0.1"),
        ("fd00::1", None),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:10.1.2.3", None),
        ("::1", None),
        ("", None),
        ("unix:", None),
        ("testclient", None),
    ],
)
def test_who_shares_a_bucket(address: str, bucket: str | None) -> None:
    assert bucket_of(address) == bucket


def test_processes_share_the_limits() -> None:
    assert RateLimits(200, 10, None).shared_by(4) == RateLimits(50, 2.5, None)
