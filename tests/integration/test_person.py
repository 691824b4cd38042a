"""`funnelcast person` on the embedded stack: the deals of one person whose device, contact and account lie in three
partitions."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Scope, Sender
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.command import run_command
from tests.support.mentions import mentions
from tests.support.waiting import until
from tests.support.worker_processes import Workers
from tests.support.workers import producing

T0, HOUR = 1_750_000_000_000, 3_600_000
DEVICE, CONTACT, ACCOUNT = {"anonymous_id": "dev"}, {"contact_id": "con"}, {"user_id": "acc"}
LONG = "7d9f1c02-4b1e-4c56-9a0f-1f2e3d4c5b6a"
LIFE: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("form_submit", DEVICE | CONTACT, {"channel": "search"}),
    ("inquiry", CONTACT, {"deal_id": "D-1"}),
    ("offer", CONTACT, {"deal_id": "D-1"}),
    ("inquiry", CONTACT | ACCOUNT, {"deal_id": LONG}),
    ("deal_lost", CONTACT, {"deal_id": "D-1", "reason": "price"}),
    ("payment", ACCOUNT, {"deal_id": LONG, "order_id": "o1", "value": "900"}),
    *(("inquiry", ACCOUNT, {"deal_id": LONG, "n": str(again)}) for again in range(120)),  # some lie in sealed pieces
    ("inquiry", ACCOUNT, {"deal_id": "D-3"}),
]


async def _write(env: dict[str, str]) -> None:
    ingest = Ingest()
    async with producing(env["FUNNELCAST_KAFKA"]) as producer:
        for number, (name, ids, properties) in enumerate(LIFE):
            event = {"id": str(number), "name": name, "occurred_at_ms": T0 + number * HOUR, **ids}
            raw = json.dumps({**event, "properties": properties}).encode()
            verdict = ingest.native(raw, sender=Sender(scope=Scope.HISTORICAL), received_at_ms=None)
            assert isinstance(verdict, Accepted)
            for key, value in verdict.records:
                topic = Topics(env["FUNNELCAST_SPACE"]).events
                await producer.send_and_wait(topic, value, key=key, timestamp_ms=verdict.received_at_ms)


async def test_the_deals_of_a_person_by_each_of_its_ids(env: dict[str, str], workers: Workers, tmp_path: Path) -> None:
    env["FUNNELCAST_FUNNELS"] = "deal8,sales"
    await ensure_topics(env["FUNNELCAST_KAFKA"], Topics(env["FUNNELCAST_SPACE"]), partitions=3, historical=True)
    await workers.start()
    await _write(env)

    async def shown(*arguments: str) -> bytes:
        _, out, err = await asyncio.to_thread(run_command, "person", *arguments, state_dir=tmp_path, env=env)
        assert out, err
        return out

    async def is_whole() -> bool:
        document = json.loads(await shown("acc", "--json"))
        journeys = [each for each in document["journeys"] if each["funnel"] == "deal8@1"]
        return document["deals"] == ["D-1", LONG, "D-3"] and len(journeys) == 3

    await until(is_whole, every=1, what="three deals of one person")
    told: dict[str, Any] = json.loads(await shown("acc", "--json"))
    assert (told["person"], told["ids"]) == ("u:acc", ["u:acc", "c:con", "a:dev"])
    for other in ("dev", "con", "user:acc"):
        assert json.loads(await shown(other, "--json")) == told
    first, second, third, *own = told["journeys"]
    assert [(each["deal"], each["state"], each["id"]) for each in (first, second, third)] == [
        ("D-1", "lost", "u:acc"),
        (LONG, "won", "u:acc"),
        ("D-3", "open", "u:acc"),
    ]
    assert first["began_at_ms"] == T0 + HOUR  # the form led to it, an hour before
    assert first["ends_at_ms"] == first["began_at_ms"] + 180 * 24 * HOUR
    assert [(each["stage"], each["at_ms"], each["outcome"], each["reason"]) for each in first["entries"]] == [
        ("first_inquiry", T0, "advanced", None),
        ("offer", T0 + 2 * HOUR, "lost", "price"),
    ]
    assert first["entries"][1]["why"] == "lost (price) 2 h later, within its 21 d"
    assert {each["funnel"] for each in own} == {"sales@1"}
    assert {each["deal"] for each in own} == {None}
    text = (await shown("con")).decode()
    assert f"deals: D-1, {LONG}, D-3" in text
    assert "deal8@1, deal D-1: lost, from 2025-06-15T16:06:40Z until 2025-12-12T16:06:40Z" in text
    only = json.loads(await shown("dev", "--json", "--funnel", "sales"))
    assert (only["ids"], only["deals"]) == (told["ids"], [])
    code, _, err = await asyncio.to_thread(
        run_command, "person", "nobody", "--funnel", "aida", state_dir=tmp_path, env=env
    )
    assert code == 1
    assert "nothing is known of nobody in this space, which is counted until 2025-06-" in err
    assert "This space counts deal8@1, sales@1" in err
    assert await mentions(env, "D-3")
    code, _, err = await asyncio.to_thread(run_command, "forget", "c:con", state_dir=tmp_path, env=env)
    assert code == 0, err
    assert not await mentions(env, "D-3")
