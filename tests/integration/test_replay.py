"""A replay of a file: which lines are refused, and what its end says."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.command import run_command
from tests.support.stack import StackAddresses


def test_refused_lines_are_named_and_do_not_stop_it(tmp_path: Path, embedded_stack: StackAddresses) -> None:
    log = tmp_path / "events.jsonl"
    lines = [
        b'{"id": "1", "name": "click", "anonymous_id": "v", "occurred_at_ms": 1735725600000}',
        b'{"id": "2"',
        b"",
        b'{"id": "3", "name": "click", "anonymous_id": "v"}',
        b'{"id": "4", "name": "click", "occurred_at_ms": 1735725600000}',
        b'["an", "array"]',
        b'{"id": "5", "name": "lead", "anonymous_id": "v", "occurred_at_ms": 1735725601000}',
    ]
    log.write_bytes(b"\n".join(lines))
    documents = []
    for more in ((), ("--through", "stack", "--kafka", embedded_stack.kafka, "--redis", embedded_stack.redis)):
        code, out, err = run_command("replay", "--events", str(log), "--json", *more, state_dir=tmp_path)
        assert code == 0
        refused = [line.split(": ")[:3] for line in err.splitlines() if ": rejected: " in line]
        assert sorted(refused) == [
            [f"{log}:2", "rejected", "malformed_json"],
            [f"{log}:4", "rejected", "invalid_time"],
            [f"{log}:5", "rejected", "missing_person"],
            [f"{log}:6", "rejected", "not_an_object"],
        ]
        assert "4 lines rejected" in err
        documents.append(out)
    assert documents[0] == documents[1]
    assert json.loads(documents[0])["input"]["accepted"] == 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    code, out, err = run_command("replay", "--events", str(tmp_path / "none.jsonl"), "--json", state_dir=tmp_path)
    assert (code, out) == (2, b"")
    assert "none.jsonl cannot be read" in err


def test_an_empty_file_is_an_empty_document(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes(b"")
    code, out, _ = run_command("replay", "--events", str(log), "--json", state_dir=tmp_path)
    assert code == 0
    assert json.loads(out)["counters"] == {}


def test_an_import_file_is_counted_as_its_events_are_and_says_whether_every_row_was_taken(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id;who;at;sum\n1;u1;31.01.2025;19,90\n2;u2;01.02.2025;5,00\n3;u3;soon;1\n")
    file = tmp_path / "f.yaml"
    file.write_text(
        """
        inputs: [{file: f.csv, decimal: ",", times: {at: {order: dmy}}}]
        events: [{name: payment, at: at, id: id, user_id: who, value: sum}]
        """
    )
    log = tmp_path / "events.jsonl"
    log.write_text(
        '{"id":"1","name":"payment","occurred_at":"2025-01-31","user_id":"u1","properties":{"value":"19.90"}}\n'
        '{"id":"2","name":"payment","occurred_at":"2025-02-01","user_id":"u2","properties":{"value":"5.00"}}\n'
    )
    code, imported, err = run_command("replay", "--import", str(file), "--json", state_dir=tmp_path)
    assert (code, "f.csv:4: invalid_time" in err) == (1, True), err
    code, counted, err = run_command("replay", "--events", str(log), "--json", state_dir=tmp_path)
    assert (code, imported) == (0, counted), err
    log.write_text('{"id":"1"}\nnonsense\n')
    code, out, err = run_command("replay", "--events", str(log), "--json", state_dir=tmp_path)
    assert code == 2
    assert json.loads(out)["input"]["accepted"] == 0
    assert "2 lines rejected" in err


def test_tables_show_names_as_they_were_first_written(tmp_path: Path) -> None:
    """The document keeps the form in which they are compared."""
    lost = {"id": "e2", "name": "lead_lost", "user_id": "u", "occurred_at_ms": 2, "properties": {"reason": "Too Dear"}}
    lead = {"id": "e1", "name": "lead", "user_id": "u", "occurred_at_ms": 1, "properties": {"channel": "Expo 2026"}}
    events = tmp_path / "events.jsonl"
    events.write_text(f"{json.dumps(lead)}\n{json.dumps(lost)}\n")
    line = ("replay", "--funnel", "sales", "--events", str(events))
    code, table, said = run_command(*line, state_dir=tmp_path)
    assert code == 0, said
    assert b"Too Dear" in table
    assert b"too dear" not in table
    code, document, said = run_command(*line, "--json", state_dir=tmp_path)
    assert code == 0, said
    assert b"too dear" in document
    assert b"channel=expo 2026" in document
