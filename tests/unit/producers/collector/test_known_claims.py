"""Who is known by two ids says so with every event: Kafka gets the claim once, and again wherever it might matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from producers.collector.known_claims import KEPT_MS, KnownClaims
from producers.ingest.limits import Limits
from producers.ingest.verdicts import Scope
from producers.sink.port import SinkUnavailableError
from tests.support.collector import NOW, CollectorInMemory

FIRST = ("a:dev", "u:ann")


def both(number: int, user: str = "ann", at_ms: int = NOW) -> dict[str, Any]:
    return {"id": str(number), "name": "lead", "anonymous_id": "dev", "user_id": user, "occurred_at_ms": at_ms}


async def test_a_claim_is_sent_once_until_it_is_old(tmp_path: Path) -> None:
    now = NOW
    collector = CollectorInMemory(tmp_path, now_ms=lambda: now)
    for number in range(3):
        await collector.post(both(number))
    assert (len(collector.events()), collector.links()) == (3, [FIRST])
    assert collector.metric("claims_total") == 1
    assert collector.metric("events_linking_total", source="source-server") == 3
    now += KEPT_MS
    await collector.post(both(3))
    assert collector.links() == [FIRST] * 2


async def test_the_claims_of_others_are_all_sent(tmp_path: Path) -> None:
    """Each is counted as a conflict."""
    collector = CollectorInMemory(tmp_path)
    for number, user in enumerate(["ann", "bob", "bob", "ann"]):
        await collector.post(both(number, user))
    assert collector.links() == [FIRST, ("a:dev", "u:bob"), ("a:dev", "u:bob")]


async def test_what_is_not_stored_is_claimed_again(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path)
    collector.sink.failure = SinkUnavailableError("away", 1)
    assert (await collector.post(both(0))).status_code == 503
    collector.sink.failure = None
    await collector.post(both(0))
    assert collector.links() == [FIRST]


async def test_who_is_late_for_a_funnel_or_sends_history_relies_on_nothing(tmp_path: Path) -> None:
    limits = Limits(least_lateness_ms=1_000)
    collector = CollectorInMemory(tmp_path, options={"limits": limits})
    for number in range(2):
        await collector.post(both(number, at_ms=NOW - 1_001))
    assert collector.links() == [FIRST] * 2
    for number in range(2):
        await collector.post(both(number), scope=Scope.HISTORICAL)
    assert collector.links() == [FIRST] * 4


def test_few_are_remembered() -> None:
    known = KnownClaims(most=2)
    for lower in (b"a:1", b"a:2", b"a:3"):
        known.admit(lower, b"u:1", NOW)
    assert [known.has(lower, b"u:1", NOW) for lower in (b"a:1", b"a:2", b"a:3")] == [False, True, True]
