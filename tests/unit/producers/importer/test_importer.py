"""Files through a collector: what is read, how it is sent, how it goes on after trouble."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from producers.client.collector import CollectorRefusedError
from producers.importer.importer import Importer, Target
from producers.importer.lines import EventFile, batches, open_events
from producers.importer.mapping import Mapping
from producers.importer.problems import Kind, Refused
from producers.importer.strict import Strict
from producers.ingest.checks import Ingest
from schemas.errors import InputFileError, TryAgainError
from tests.support.rows import rows

Answer = Callable[[httpx.Request], httpx.Response]


class Collector:
    """Answers as `answers` say, then accepts everything."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str | None, list[dict[str, Any]]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        lines = [json.loads(line) for line in request.content.splitlines()]
        self.requests.append((request.headers.get("x-funnelcast-sequence"), lines))
        results = [{"id": one.get("id"), "status": "rejected" if one.get("bad") else "accepted"} for one in lines]
        return httpx.Response(200, json={"accepted": len(lines), "results": results})

    @property
    def events(self) -> list[dict[str, Any]]:
        return [one for _, lines in self.requests for one in lines if "tick" not in one]


def read(path: Path, refused: list[Refused] | None = None, **options: Any) -> EventFile:
    mapping = options.pop("mapping", Mapping())
    return open_events(str(path), mapping=mapping, refused=(refused if refused is not None else []).append, **options)


def strict(*tolerated: Kind) -> Strict:
    now_ms = 1_767_225_600_000  # 2026
    return Strict(Ingest(), now_ms, tolerated=frozenset(tolerated))


def events_of(file: EventFile) -> list[dict[str, Any]]:
    return [json.loads(event) for _, event in file.events()]


async def no_sleep(seconds: float) -> None:
    """Time does not pass."""


def importer(path: Path, collector: Collector, *, directory: Path, **options: Any) -> Importer:
    client = httpx.AsyncClient(transport=httpx.MockTransport(collector))
    return Importer(
        read(path, **options),
        Target("http://c", "key", patience_seconds=10),
        directory,
        client,
        on_refused=lambda refused: None,
        sleep=no_sleep,
    )


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    path = tmp_path / "e.jsonl"
    path.write_text(
        "".join(json.dumps({"id": f"e{n}", "name": "click", "occurred_at_ms": n}) + "\n" for n in range(1200))
    )
    return path


class TestLines:
    def test_jsonl_as_it_stands(self, tmp_path: Path) -> None:
        path = tmp_path / "e.jsonl"
        path.write_bytes(b'\xef\xbb\xbf{"id":"a","properties":{"value":1.10}}\r\n\n{"id":"b"\n')
        assert [event for _, event in read(path).events()] == [b'{"id":"a","properties":{"value":1.10}}', b'{"id":"b"']

    def test_a_pipe_is_read_as_a_file_is(self, tmp_path: Path) -> None:
        pipe = tmp_path / "events"
        os.mkfifo(pipe)
        with ThreadPoolExecutor(1) as writer:
            writer.submit(pipe.write_bytes, gzip.compress(b'{"id":"a"}\n'))
            assert events_of(read(pipe)) == [{"id": "a"}]

    def test_gzip_is_seen_by_its_first_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "e"
        path.write_bytes(gzip.compress(b'{"id":"a"}\n'))
        assert events_of(read(path)) == [{"id": "a"}]

    def test_ids_are_made_of_the_content(self, tmp_path: Path) -> None:
        path = tmp_path / "e.jsonl"
        path.write_text('{"name":"a","v":1.10}\n{"name":"a","v":1.10}\n{"name":"b"}\n{"id":null,"name":"c"}\n')
        first = events_of(read(path))
        assert len({one["id"] for one in first}) == 4
        path.write_text(path.read_text() + '{"name":"d"}\n')
        assert events_of(read(path))[:4] == first
        assert b'"v":1.10' in next(iter(read(path).events()))[1]

    def test_what_is_no_object_is_not_sent(self, tmp_path: Path) -> None:
        path, refused = tmp_path / "e.jsonl", list[Refused]()
        path.write_text('{"id":"a"}\n3\n"x"\n')
        assert events_of(read(path, refused)) == [{"id": "a"}]
        assert [(one.line, one.reason) for one in refused] == [(2, "not_an_object"), (3, "not_an_object")]

    def test_csv_with_a_mapping(self, tmp_path: Path) -> None:
        path = tmp_path / "orders.txt"
        path.write_text('order_no,customer,date,amount,note\n7,c1,2025-01-01,"1,250.00",x\n8,c2,2025-01-02,19.990,\n')
        mapping = Mapping.parse(
            ["id=order_no,user_id=customer", "occurred_at=date,value=amount"], ["name=payment,currency=EUR"]
        )
        assert events_of(read(path, mapping=mapping)) == [
            {
                "id": "7",
                "user_id": "c1",
                "occurred_at": "2025-01-01",
                "name": "payment",
                "properties": {"value": "1,250.00", "currency": "EUR"},
            },
            {
                "id": "8",
                "user_id": "c2",
                "occurred_at": "2025-01-02",
                "name": "payment",
                "properties": {"value": "19.990", "currency": "EUR"},
            },
        ]

    def test_csv_columns_go_to_their_own_names(self, tmp_path: Path) -> None:
        path = tmp_path / "e.csv"
        path.write_text("id,name,anonymous_id,occurred_at_ms,channel\n1,click,v,5,google\n")
        assert events_of(read(path)) == [
            {"id": "1", "name": "click", "anonymous_id": "v", "occurred_at_ms": 5, "properties": {"channel": "google"}}
        ]

    def test_a_column_that_is_not_there_or_stands_twice(self, tmp_path: Path) -> None:
        path = tmp_path / "e.csv"
        path.write_text("a,b,b\n1,2,3\n")
        with pytest.raises(InputFileError, match="no column 'c' for id; the file has: a, b, b"):
            events_of(read(path, mapping=Mapping.parse(["id=c"], [])))
        with pytest.raises(InputFileError, match="two columns are called 'b'"):
            events_of(read(path, mapping=Mapping.parse(["id=a"], []), strict=strict()))
        tolerant = strict(Kind.COLUMNS, Kind.CELLS)
        mapping = Mapping.parse(["id=a,user_id=b"], ["name=click,occurred_at=2025-01-01"])
        (event,) = events_of(read(path, mapping=mapping, strict=tolerant))
        assert event["user_id"] == "2"

    def test_bad_rows_cost_themselves(self, tmp_path: Path) -> None:
        path, refused = tmp_path / "e.csv", list[Refused]()
        path.write_text(
            'id,user,date,note\n1,u,2025-01-01,"5" screen"\n2,u,2025-01-01,ok\n3,u,,x\n4,a,b,c,d\n5,"open\n'
            "6,u,2025-01-02,y\n"
        )
        mapping = Mapping.parse(["id=id,user_id=user,occurred_at=date"], ["name=click"])
        taken = events_of(read(path, refused, mapping=mapping, strict=strict()))
        assert [one["id"] for one in taken] == ["2", "6"]
        assert [(one.line, one.reason) for one in refused] == [
            (2, "unreadable"),
            (4, "invalid_time"),
            (5, "cells"),
            (6, "unreadable"),
        ]

    def test_bad_flags_and_files(self, tmp_path: Path) -> None:
        with pytest.raises(InputFileError, match="--map 'id': write member=column"):
            Mapping.parse(["id"], [])
        with pytest.raises(InputFileError, match="cannot be read"):
            read(tmp_path / "nothing")
        (tmp_path / "a.parquet").write_bytes(b"PAR1....")
        with pytest.raises(InputFileError, match="funnelcast import"):
            read(tmp_path / "a.parquet")

    @rows("encoding", ["utf-8-sig", "utf-16", "cp1251"])
    def test_arrays_and_encodings(self, tmp_path: Path, encoding: str) -> None:
        path = tmp_path / "e.json"
        path.write_text('[{"id":"a","v":1.10,"t":"Привет, мир"},\n{"id":"b"}]', encoding=encoding)
        named = encoding if encoding == "cp1251" else None
        events = [event for _, event in read(path, encoding=named).events()]
        assert [json.loads(event)["id"] for event in events] == ["a", "b"]
        assert b'"v":1.10' in events[0]
        assert "Привет, мир".encode() in events[0]

    def test_what_a_collector_would_count_and_go_on_with_is_refused_unless_tolerated(self, tmp_path: Path) -> None:
        path = tmp_path / "e.csv"
        path.write_text(
            'id,user,date,amount\n1,u1,2025-11-20,"19,99"\n2,u2,2025-11-20,(12.00)\n1.21E+13,u3,2025-11-20,5\n'
            "4,(not set),2025-11-20,5\n5,u5,2999-01-01,5\n6,u6,2025-11-20,10.00\n"
        )
        mapping = Mapping.parse(["id=id,user_id=user,occurred_at=date,value=amount"], ["name=payment"])
        refused = list[Refused]()
        taken = events_of(read(path, refused, mapping=mapping, is_historical=True, strict=strict()))
        assert [one["id"] for one in taken] == ["6"]
        assert [one.reason for one in refused] == ["amount", "amount", "id", "missing_person", "time"]
        for kind in (Kind.AMOUNT, Kind.ID, Kind.TIME):
            refused.clear()
            events_of(read(path, refused, mapping=mapping, is_historical=True, strict=strict(kind)))
            assert kind not in {one.reason for one in refused}

    def test_seconds_are_no_milliseconds_in_history_either(self, tmp_path: Path) -> None:
        path, refused = tmp_path / "e.jsonl", list[Refused]()
        path.write_text('{"id":"a","name":"click","user_id":"u","occurred_at_ms":1763632800}\n')
        assert events_of(read(path, refused, is_historical=True, strict=strict())) == []
        assert "looks like seconds" in refused[0].detail

    def test_history_is_sorted_by_time_and_received_when_it_occurred(self, tmp_path: Path) -> None:
        path, refused = tmp_path / "e.jsonl", list[Refused]()
        lines = [
            '{"id":"a","occurred_at_ms":9,"received_at_ms":99}',
            '{"id":"b","occurred_at":"1970-01-01T00:00:00.001Z"}',
        ]
        path.write_text("\n".join([*lines, '{"id":"c"}', '{"id":"d","occurred_at_ms":9}', "{"]))
        events = events_of(read(path, refused, is_historical=True))
        assert [one["id"] for one in events] == ["b", "a", "d"]
        assert events[1] == {"id": "a", "occurred_at_ms": 9}
        assert [one.line for one in refused] == [3, 5]

    def test_batches_are_bounded(self) -> None:
        lines = [(n, b"x" * 10) for n in range(10)]
        assert [len(one) for one in batches(lines, lines=4, size=1000)] == [4, 4, 2]
        assert [len(one) for one in batches(lines, lines=100, size=33)] == [3, 3, 3, 1]
        assert [len(one) for one in batches([(0, b"x" * 99)] * 2, lines=100, size=33)] == [1, 1]


class TestSending:
    async def test_everything_is_sent_in_order_with_running_numbers(self, jsonl: Path, tmp_path: Path) -> None:
        collector = Collector()
        done = await importer(jsonl, collector, directory=tmp_path).run()
        assert [one["id"] for one in collector.events] == [f"e{n}" for n in range(1200)]
        sequences = [sequence for sequence, _ in collector.requests]
        assert sequences == [f"{done.session}:{n}" for n in (0, 500, 1000)]
        assert (done.accepted, done.rejected, done.is_done) == (1200, 0, True)

    async def test_a_second_run_sends_nothing_and_again_is_a_new_session(self, jsonl: Path, tmp_path: Path) -> None:
        first = await importer(jsonl, Collector(), directory=tmp_path).run()
        collector = Collector()
        again = importer(jsonl, collector, directory=tmp_path)
        assert (await again.run()).accepted == 1200
        assert collector.requests == []
        again.start_over()
        assert (await again.run()).session != first.session
        assert len(collector.events) == 1200

    async def test_a_corrected_mapping_or_another_key_is_another_import(self, tmp_path: Path) -> None:
        path = tmp_path / "o.csv"
        path.write_text("no,who,client\n1,a,b\n")
        for member in ("who", "client"):
            collector = Collector()
            mapping = Mapping.parse([f"id=no,user_id={member}"], ["name=payment"])
            await importer(path, collector, directory=tmp_path, mapping=mapping).run()
            assert len(collector.events) == 1
        collector = Collector()
        other = importer(path, collector, directory=tmp_path, mapping=mapping)
        other = Importer(other.file, Target("http://c", "other"), tmp_path, other.client, lambda refused: None)
        await other.run()
        assert len(collector.events) == 1

    async def test_a_line_too_large_for_any_request_is_rejected_alone(self, tmp_path: Path) -> None:
        path, refused, sent = tmp_path / "e.jsonl", list[Refused](), Collector()
        lines = [json.dumps({"id": f"e{n}", "pad": "x" * (600 if n == 3 else 5)}) for n in range(7)]
        path.write_text("\n".join(lines))

        def bounded(request: httpx.Request) -> httpx.Response:
            if len(request.content) > 500:
                return httpx.Response(400, json={"code": "body_too_large", "message": "too large", "detail": ""})
            return sent(request)

        sending = importer(path, Collector(), directory=tmp_path)
        sending.client, sending.on_refused = httpx.AsyncClient(transport=httpx.MockTransport(bounded)), refused.append
        done = await sending.run()
        assert (done.accepted, done.rejected, done.is_done) == (6, 1, True)
        assert [(line.line, line.reason) for line in refused] == [(4, "event_too_large")]
        numbers = [int(str(sequence).rpartition(":")[2]) for sequence, _ in sent.requests]
        firsts = [int(events[0]["id"].removeprefix("e")) for _, events in sent.requests]
        assert numbers == firsts == sorted(firsts)

    async def test_trouble_is_waited_out_and_the_same_is_sent_again(self, jsonl: Path, tmp_path: Path) -> None:
        busy = httpx.Response(503, headers={"Retry-After": "3"}, json={"code": "unavailable"})
        collector, pauses = (
            Collector(busy, httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), busy),
            list[float](),
        )
        sending = importer(jsonl, collector, directory=tmp_path)

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        sending.sleep = sleep
        assert (await sending.run()).accepted == 1200
        assert len(collector.events) == 1200
        assert pauses[0] == pauses[3] == 3.0
        assert pauses[1] < pauses[2] < 3.0

    async def test_it_gives_up_in_the_end_and_goes_on_later(self, jsonl: Path, tmp_path: Path) -> None:
        now = [0.0]
        down = [httpx.ConnectError("refused")] * 1000
        sending = importer(jsonl, Collector(*down), directory=tmp_path)

        async def sleep(seconds: float) -> None:
            now[0] += seconds

        sending.clock, sending.sleep = lambda: now[0], sleep
        with pytest.raises(TryAgainError, match="same command again"):
            await sending.run()
        assert 10 <= now[0] < 40
        collector = Collector()
        later = importer(jsonl, collector, directory=tmp_path)
        assert later.progress.session == sending.progress.session
        assert (await later.run()).accepted == 1200

    async def test_after_an_interruption_it_goes_on_behind_the_last_acknowledged_batch(
        self, jsonl: Path, tmp_path: Path
    ) -> None:
        def interrupt(progress: object) -> None:
            raise KeyboardInterrupt

        sending = importer(jsonl, Collector(), directory=tmp_path)
        sending.on_progress = interrupt
        with pytest.raises(KeyboardInterrupt):
            await sending.run()
        collector = Collector()
        done = await importer(jsonl, collector, directory=tmp_path).run()
        assert [sequence for sequence, _ in collector.requests] == [f"{done.session}:{n}" for n in (500, 1000)]
        assert done.accepted == 1200

    async def test_rejected_lines_are_named(self, tmp_path: Path) -> None:
        path, refused = tmp_path / "e.jsonl", list[Refused]()
        path.write_text('{"id":"a"}\n\n{"id":"b","bad":true}\n')
        sending = importer(path, Collector(), directory=tmp_path)
        sending.on_refused = refused.append
        assert (await sending.run()).rejected == 1
        assert [line.line for line in refused] == [3]

    async def test_a_batch_without_a_single_json_line_is_rejected_line_by_line(self, tmp_path: Path) -> None:
        path = tmp_path / "e.jsonl"
        path.write_text("{\n{x\n")
        answer = httpx.Response(400, json={"code": "malformed_json", "message": "no", "detail": ""})
        assert (await importer(path, Collector(answer), directory=tmp_path).run()).rejected == 2

    async def test_a_bad_key_is_said_at_once(self, jsonl: Path, tmp_path: Path) -> None:
        answer = httpx.Response(401, json={"code": "bad_key", "message": "the write key is unknown", "detail": "x"})
        with pytest.raises(CollectorRefusedError, match="answered 401: the write key is unknown"):
            await importer(jsonl, Collector(answer), directory=tmp_path).run()

    async def test_history_needs_its_own_key(self, jsonl: Path, tmp_path: Path) -> None:
        refused = httpx.Response(
            200, json={"accepted": 0, "results": [{"status": "rejected", "reason": "not_allowed"}]}
        )
        with pytest.raises(CollectorRefusedError, match="scope historical"):
            await importer(jsonl, Collector(refused), directory=tmp_path, is_historical=True).run()
        collector = Collector()
        await importer(jsonl, collector, directory=tmp_path, is_historical=True).run()
        assert collector.requests[0] == (None, [{"tick": 0}])  # no number: it would hide the first event
        assert len(collector.events) == 1200

    @rows(
        ("url", "expected"),
        [
            ("http://c", "http://c/v1/events"),
            ("http://c/", "http://c/v1/events"),
            ("https://c/in/v1/events", "https://c/in/v1/events"),
        ],
    )
    def test_urls(self, url: str, expected: str) -> None:
        assert Target(url).url == expected

    @rows("url", ["c", "ftp://c", "http://"])
    def test_no_urls(self, url: str) -> None:
        with pytest.raises(CollectorRefusedError, match="no URL"):
            Target(url)
