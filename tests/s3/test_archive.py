"""`funnelcast archive s3://...`: killed with -9 again and again it holds every record once, and of two that write at
once one ends."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from funnelcast.processes.ports import free_port
from schemas.errors import UsageError
from schemas.record import EventRecord, encode_event, encode_forget
from schemas.topics import Topics
from streams.admin import ensure_topics
from streams.archive.files import ArchiveFolder, Row
from streams.archive.places import RemotePlace
from streams.archive.reader import ArchiveReader
from tests.support.command import run_command, start_command
from tests.support.logs import Record, ticks, write_log
from tests.support.stack import StackAddresses
from tests.support.waiting import wait_until
from tests.support.workers import producing

pytestmark = pytest.mark.s3
T0 = 1_750_000_000_000
PARTITIONS = 2
EVENTS = 800
URL = "s3://events/shop"


def _event(number: int) -> Record:
    at, person = T0 + number * 240_000, f"p{number % 40}"
    event = EventRecord(
        id=f"e{number}", name="click", occurred_at_ms=at, received_at_ms=at, source="web", user_id=person, properties={}
    )
    return number % PARTITIONS, f"u:{person}".encode(), encode_event(event), at


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Variables of the environment that lead to a server with a bucket."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    env = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",  # pragma: allowlist secret
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # it would know the server of the test before
    try:
        wait_until(lambda: _listens(port))
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("events")
        yield env
    finally:
        server.kill()
        server.wait()


async def test_kills_a_second_writer_and_a_forgotten_person(
    embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path, s3: dict[str, str]
) -> None:
    env = {"FUNNELCAST_KAFKA": embedded_stack.kafka, "FUNNELCAST_SPACE": fresh_space, **s3}
    topics, rng = Topics(fresh_space), random.Random(7)

    async def archived(*options: str) -> tuple[int, bytes, str]:
        return await asyncio.to_thread(run_command, "archive", URL, *options, state_dir=tmp_path, env=env)

    await ensure_topics(embedded_stack.kafka, topics, partitions=PARTITIONS, historical=True)
    events = [_event(number) for number in range(EVENTS)]
    async with producing(embedded_stack.kafka) as producer:
        await write_log(producer, topics.events, events)
        for _ in range(3):
            process = start_command("archive", URL, "--flush-rows", "40", state_dir=tmp_path, env=env)
            assert process.stderr is not None
            for _ in range(rng.randint(1, 5)):
                assert await asyncio.to_thread(process.stderr.readline)
            process.kill()
            await asyncio.to_thread(process.communicate)
        assert 0 < len(_rows()) < EVENTS

        # Both begin where the files end; the one that writes second finds another version and ends.
        both = await asyncio.gather(archived("--flush-rows", "100"), archived("--flush-rows", "100"))
        assert sorted(code for code, _, _ in both) in ([0, 0], [0, 2]), both
        assert all("written by another process" in said for code, _, said in both if code), both
        code, _, said = await archived("--json")
        assert code == 0, said
        assert _rows() == sorted(_rows())
        assert len(_rows()) == len(set(_rows())) == EVENTS

        end_ms = events[-1][3] + 1000
        forget = (1, b"u:p1", encode_forget(end_ms), end_ms)
        await write_log(producer, topics.events, [forget, *ticks(PARTITIONS, end_ms)])
    code, out, said = await archived("--json")
    assert code == 0, said
    assert json.loads(out) == {"folder": URL, "written": 3, "erased": EVENTS // 40}
    line = ("replay", "--funnel", "sales", "--events", URL, "--json")
    code, out, said = await asyncio.to_thread(run_command, *line, state_dir=tmp_path, env=env)
    assert code == 0, said
    assert json.loads(out)["input"]["accepted"] == EVENTS - EVENTS // 40


def test_what_cannot_be_reached_says_so(tmp_path: Path, s3: dict[str, str]) -> None:
    code, _, said = run_command(
        "replay", "--funnel", "sales", "--events", "s3://nowhere/shop", state_dir=tmp_path, env=s3
    )
    assert code == 2, said
    assert "s3://nowhere/shop" in said
    assert "Traceback" not in said
    away = {**s3, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_MAX_ATTEMPTS": "1"}
    code, _, said = run_command("replay", "--funnel", "sales", "--events", URL, state_dir=tmp_path, env=away)
    assert code == 75, said
    assert URL in said
    assert "Traceback" not in said


def test_a_write_that_the_client_repeats_is_its_own(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is lost makes a client write again; the store refuses that, for the first write took its place."""
    folder, other = ArchiveFolder(URL), ArchiveFolder(URL)
    place = folder._place
    assert isinstance(place, RemotePlace)
    put_file = place._store.put_file

    def twice(*given: object, **named: object) -> None:
        put_file(*given, **named)
        put_file(*given, **named)

    with folder.writing(), other.writing():
        monkeypatch.setattr(place._store, "put_file", twice)
        for offset in range(2):
            folder.add("2025-06-15", [Row(0, offset, T0, "u:p", '{"id":"e","name":"click"}')])
        assert _rows() == [(0, 0), (0, 1)]
        # The same rows by another process are not taken for its own.
        monkeypatch.setattr(other, "cursor", lambda: {0: 1})
        other._known = {}
        with pytest.raises(UsageError, match="written by another process"):
            other.add("2025-06-15", [Row(0, 1, T0, "u:p", '{"id":"e","name":"click"}')])


def _rows() -> list[tuple[int, int]]:
    """(partition, offset) of every row, in order."""
    folder = ArchiveFolder(URL)
    reader, found = ArchiveReader(folder), []
    for partition, end in sorted(folder.cursor().items()):
        at = 0
        while at < end:
            records, at = reader.read(partition, start=at, end=end)
            found += [(partition, record.offset) for record in records]
    return found
