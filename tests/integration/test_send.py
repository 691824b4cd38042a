"""`funnelcast send` as a user runs it, through a collector process with write keys, onto a real broker."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from producers.access.keys import create_key
from producers.ingest.verdicts import Scope
from schemas.funnel.load import load_funnel
from schemas.record import encode_tick
from streams.store.connection import close, connect
from streams.store.redis import RedisPartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.support.command import run_command
from tests.support.running_collector import RunningCollector, running_collector
from tests.support.stack import StackAddresses
from tests.support.valkey import ValkeyServer
from tests.support.waiting import LIMIT


@dataclass
class Site:
    """A collector with keys."""

    collector: RunningCollector
    keys: dict[Scope, str]
    directory: Path

    async def send(self, *arguments: str, scope: Scope = Scope.SERVER, stdin: bytes = b"") -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of `funnelcast send`."""
        return await self.run("send", *arguments, scope=scope, stdin=stdin)

    async def run(self, *arguments: str, scope: Scope = Scope.SERVER, stdin: bytes = b"") -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of a command that sends."""
        line = [*arguments, "--url", self.collector.url, "--key", self.keys[scope]]
        if not stdin:
            code, told, said = await asyncio.to_thread(run_command, *line, state_dir=self.directory / "state")
            return code, told.decode(), said
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "funnelcast", *line, "--state-dir", str(self.directory / "state")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(child.communicate(stdin), LIMIT)
        assert child.returncode is not None
        return child.returncode, out.decode(), err.decode()


@pytest.fixture
async def site(embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path) -> AsyncIterator[Site]:
    path = tmp_path / "keys.json"
    keys = {scope: create_key(path, source=scope.value, scope=scope, created_at="")[0] for scope in Scope}
    flags = ("--keys", str(path))
    async with running_collector(embedded_stack.kafka, fresh_space, tmp_path, *flags, historical=True) as running:
        yield Site(running, keys, tmp_path)


async def test_history_from_csv_is_sorted_numbered_and_sent_once(site: Site) -> None:
    file = site.directory / "orders.csv"
    file.write_text("no,who,day,sum\n1,c1,2025-01-03,19.990\n2,c2,2025-01-01,5\n3,c1,2025-01-02,7\n")
    arguments = [str(file), "--historical", "--map", "id=no,user_id=who,occurred_at=day,value=sum"]
    arguments += ["--set", "name=payment,currency=EUR", "--json"]
    for was_sent in (False, True):
        code, out, err = await site.send(*arguments, scope=Scope.HISTORICAL)
        assert code == 0
        assert json.loads(out)["accepted"] == 3
        assert json.loads(out)["already_sent"] is was_sent
        assert ("was sent before, nothing is sent now; --again" in err) is was_sent
    records = [json.loads(one.value) for one in await site.collector.records(site.collector.topics.events, 3)]
    events = sorted((one for one in records if "id" in one), key=lambda one: one["seq"][1])
    assert [one["id"] for one in events] == ["2", "3", "1"]
    assert [one["seq"][1] for one in events] == [0, 1, 2]
    assert all(one["received_at_ms"] == one["occurred_at_ms"] for one in events)
    assert events[2]["properties"] == {"value": "19.990", "currency": "EUR"}


async def test_a_live_file_from_stdin_with_bad_lines(site: Site) -> None:
    lines = b'{"name":"click","user_id":"u"}\nnonsense\n{"id":"a","name":"click","user_id":"u"\n'
    code, _, err = await site.send("-", stdin=lines)
    assert code == 1
    assert "-:2: not_an_object" in err
    assert "-:3: malformed_json" in err
    assert "1 events accepted, 2 rejected" in err
    code, out, _ = await site.send("-", "--json", stdin=b"nonsense\n")
    assert (code, json.loads(out)["rejected"]) == (2, 1)
    (record,) = await site.collector.records(site.collector.topics.events, 1)
    assert json.loads(record.value)["id"].startswith("f-")
    assert json.loads(record.value)["source"] == "server"


async def test_history_that_is_sent_as_if_it_happened_now_is_refused_before_it_is_sent(site: Site) -> None:
    file = site.directory / "old.jsonl"
    file.write_text('{"id":"a","name":"click","user_id":"u","occurred_at_ms":1735725600000}\n')
    code, out, err = await site.send(str(file), "--json")
    assert (code, json.loads(out)["accepted"], json.loads(out)["rejected"]) == (2, 0, 1)
    assert "old.jsonl:1: late: is too old" in err
    assert "--historical" in err
    code, out, err = await site.send(str(file), "--tolerate", "late", "--json")
    assert (code, json.loads(out)["accepted"], json.loads(out)["late"]) == (0, 1, 1)
    assert "accepted too late" in err


async def test_wrong_use_is_a_sentence_and_exit_2(site: Site) -> None:
    file = site.directory / "e.jsonl"
    file.write_text('{"id":"a","name":"click","user_id":"u"}\n')
    code, _, err = await site.send(str(file), "--historical")
    assert code == 2
    assert "scope historical" in err
    code, _, err = await site.send(str(site.directory / "nothing.jsonl"))
    assert code == 2
    assert "cannot be read" in err
    site.keys[Scope.SERVER] = "fcs_wrong"
    code, _, err = await site.send(str(file))
    assert code == 2
    assert "401" in err


async def test_a_collector_that_is_away_ends_in_exit_75(site: Site) -> None:
    file = site.directory / "e.jsonl"
    file.write_text('{"id":"a","name":"click","user_id":"u"}\n')
    assert await asyncio.to_thread(site.collector.stop) == 0
    code, _, err = await site.send(str(file), "--patience", "0.5")
    assert code == 75
    assert "run the same command again" in err


async def test_an_import_file_looks_first_then_sends_history_of_several_tables_by_time(site: Site) -> None:
    (site.directory / "deals.csv").write_text("id;made;won;sum\n1;01.02.2025;05.02.2025;19,90\n2;02.02.2025;;5,00\n")
    (site.directory / "calls.csv").write_text("who,at\n1,2025-02-03\n2,soon\n")
    file = site.directory / "shop.yaml"
    file.write_text(
        """
        tolerate: [name]
        inputs:
          - {name: deals, file: deals.csv, decimal: ",", times: {made: {order: dmy}, won: {order: dmy}}}
          - {name: calls, file: calls.csv}
        events:
          - {name: lead_created, input: deals, at: made, id: "{id}-made", contact_id: id}
          - {name: payment, input: deals, at: won, when: {sum: "19,90"}, id: "{id}-won", contact_id: id, value: sum}
          - {name: call, input: calls, at: at, contact_id: who}
        """
    )
    code, out, err = await site.run("import", str(file), "--dry-run", "--json", scope=Scope.HISTORICAL)
    overview = json.loads(out)
    assert code == 1
    assert "calls.csv:3: invalid_time" in err
    assert {each["name"]: each["count"] for each in overview["events"]} == {"call": 1, "lead_created": 2, "payment": 1}
    code, out, err = await site.run("import", str(file), "--json", scope=Scope.HISTORICAL)
    assert code == 1, err
    assert json.loads(out)["rows"] == {"read": 4, "taken": 3, "refused": 1, "without_event": 0}
    assert json.loads(out)["events"]["accepted"] == 4
    records = [json.loads(one.value) for one in await site.collector.records(site.collector.topics.events, 5)]
    events = sorted((one for one in records if "id" in one), key=lambda one: one["seq"][1])
    assert [one["name"] for one in events] == ["lead_created", "lead_created", "call", "payment"]
    assert all(one["received_at_ms"] == one["occurred_at_ms"] for one in events)
    code, out, err = await site.run("import", str(file), "--json", scope=Scope.HISTORICAL)
    assert json.loads(out)["already_sent"] is True


async def test_spend_goes_in_without_a_person_and_a_statement_keeps_its_id(site: Site) -> None:
    file = site.directory / "ads.csv"
    for cost in ("10.00", "12.50"):
        file.write_text(f"Day,Campaign,Cost,Currency\n2025-03-01,Spring,{cost},EUR\n")
        code, out, err = await site.run("spend", "import", str(file), "--set", "channel=google", "--json")
        assert code == 0, err
        assert json.loads(out)["events"]["accepted"] == 1
    records = await site.collector.records(site.collector.topics.events, 2)
    assert {one.key for one in records} == {None}
    first, second = (json.loads(one.value) for one in records)
    assert first["id"] == second["id"]
    assert second["name"] == "ad_spend"
    spend = {"channel": "google", "campaign": "Spring", "day": "2025-03-01", "value": "12.50", "currency": "EUR"}
    assert second["properties"] == spend


async def test_history_that_a_space_has_left_behind_is_refused_before_anything_is_sent(
    site: Site, valkey_server: ValkeyServer
) -> None:
    funnel, space = load_funnel("sales"), f"space-{uuid4().hex[:8]}"
    client = connect(valkey_server.url)
    processor = PartitionProcessor(RedisPartitionStore(client, space), 0, [funnel])
    await processor.claim()
    newest = encode_tick(1_767_225_600_000)  # 2026
    await processor.process([LogRecord(None, newest, 1_767_225_600_000, 0)], 1)
    await close(client)
    (site.directory / "f.csv").write_text("id,at\n1,2025-01-01\n2,2025-12-31\n")
    file = site.directory / "f.yaml"
    file.write_text("inputs: [{file: f.csv}]\nevents: [{name: payment, at: at, id: id, user_id: id}]\n")
    where = ("--redis", valkey_server.url, "--space", space)
    code, _, err = await site.run("import", str(file), *where, scope=Scope.HISTORICAL)
    assert code == 2
    assert "1 of 2 events lie before 2025-1" in err
    code, out, _ = await site.run("import", str(file), *where, "--dry-run", "--json", scope=Scope.HISTORICAL)
    assert (code, json.loads(out)["late"]) == (1, 1)
    code, out, err = await site.run("import", str(file), *where, "--tolerate", "late", "--json", scope=Scope.HISTORICAL)
    assert (code, json.loads(out)["events"]["accepted"]) == (0, 2), err
    columns = ("--historical", "--set", "name=payment", "--map", "user_id=id,occurred_at=at")
    lines = (str(site.directory / "f.csv"), *columns)
    code, _, err = await site.send(*lines, *where, scope=Scope.HISTORICAL)
    assert (code, "f.csv: 1 of 2 events lie before 2025-1" in err) == (2, True), err
    code, out, err = await site.send(*lines, "--json", scope=Scope.HISTORICAL)
    assert (code, json.loads(out)["accepted"]) == (0, 2), err
    assert "is not known; --redis and --space ask it" in err
