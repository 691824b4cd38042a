"""`funnelcast archive`: killed with -9 again and again it holds every record once; who is forgotten is in no file."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import duckdb

from schemas.record import EventRecord, encode_event, encode_forget
from schemas.topics import Topics
from streams.admin import ensure_topics
from tests.support.command import run_command, start_command
from tests.support.logs import Record, ticks, write_log
from tests.support.stack import StackAddresses
from tests.support.workers import producing

T0 = 1_750_000_000_000
PARTITIONS = 2
EVENTS = 1500
SECRET = "ann-4711"


def _event(number: int, person: str) -> Record:
    at = T0 + number * 240_000  # four days
    event = EventRecord(
        id=f"e{number}-{person}",
        name="click",
        occurred_at_ms=at,
        received_at_ms=at,
        source="web",
        user_id=person,
        properties={"channel": "google", "note": person},
    )
    return number % PARTITIONS, f"u:{person}".encode(), encode_event(event), at


async def test_kills_and_a_forgotten_person(embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path) -> None:
    """Plain SQL over the files counts what is on the log."""
    env = {"FUNNELCAST_KAFKA": embedded_stack.kafka, "FUNNELCAST_SPACE": fresh_space}
    topics, folder, rng = Topics(fresh_space), tmp_path / "archive", random.Random(7)
    await ensure_topics(embedded_stack.kafka, topics, partitions=PARTITIONS, historical=True)
    events = [_event(number, SECRET if number % 50 == 0 else f"p{number % 40}") for number in range(EVENTS)]
    end_ms = events[-1][3] + 1000
    async with producing(embedded_stack.kafka) as producer:
        await write_log(producer, topics.events, [*events, *ticks(PARTITIONS, end_ms)])
        for _ in range(3):
            process = start_command("archive", str(folder), "--flush-rows", "40", state_dir=tmp_path, env=env)
            assert process.stderr is not None
            for _ in range(rng.randint(1, 8)):
                assert await asyncio.to_thread(process.stderr.readline)
            process.kill()
            await asyncio.to_thread(process.communicate)
        code, out, said = await asyncio.to_thread(
            run_command, "archive", str(folder), "--json", state_dir=tmp_path, env=env
        )
        assert code == 0, said
        assert 0 < json.loads(out)["written"] < EVENTS + PARTITIONS
        files = f"read_parquet('{folder}/day=*/*.parquet', filename = true)"
        whole = (
            f"SELECT count(*), count(DISTINCT (partition, \"offset\")), count(*) FILTER (kind = 'event') FROM {files}"
        )
        assert _sql(whole) == [(EVENTS + 2, EVENTS + 2, EVENTS)]
        stored = _sql(f"SELECT count(DISTINCT day), count(DISTINCT filename) FROM {files}")
        assert stored == [(5, 5)], "a file grows instead of many small ones"
        assert _sql(f"SELECT json_extract_string(properties, '$.note') FROM {files} WHERE id = 'e1-p1'") == [("p1",)]

        forget = (0, f"u:{SECRET}".encode(), encode_forget(end_ms), end_ms)
        await write_log(producer, topics.events, [_event(0, SECRET), forget])
    code, out, said = await asyncio.to_thread(
        run_command, "archive", str(folder), "--json", state_dir=tmp_path, env=env
    )
    assert code == 0, said
    assert json.loads(out)["erased"] == EVENTS // 50
    rows = _sql(f"SELECT * FROM {files}")
    assert len(rows) == EVENTS + 4
    assert not [row for row in rows if SECRET in repr(row)]
    assert _sql(whole) == [(EVENTS + 4, EVENTS + 4, EVENTS + 1)]
    counted = await asyncio.to_thread(_counted, folder, tmp_path)
    expected = tmp_path / "events.jsonl"
    left = [value for _, key, value, _ in events if key != f"u:{SECRET}".encode()]
    expected.write_bytes(b"\n".join([*left, f'{{"tick": {end_ms}}}'.encode()]))
    assert counted == await asyncio.to_thread(_counted, expected, tmp_path), "an archive counts as its events do"
    assert json.loads(counted)["input"]["accepted"] == EVENTS - EVENTS // 50


def _counted(events: Path, state_dir: Path) -> bytes:
    """The document of `replay` over a file or an archive."""
    line = ("replay", "--funnel", "sales", "--events", str(events), "--json")
    code, out, said = run_command(*line, state_dir=state_dir)
    assert code == 0, said
    return out


def _sql(query: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = duckdb.connect().execute(query).fetchall()
    return rows
