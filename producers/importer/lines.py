"""Files as lines of native events: JSONL as it stands, CSV through a `Mapping` of its columns. Reads; sends nothing."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import msgspec
import orjson

from producers.importer.mapping import Mapping
from producers.importer.problems import Kind, Refused
from producers.importer.sorting import Sorter
from producers.importer.strict import Strict
from producers.ingest.times import parse_time_ms
from producers.reading.clear import ClearFile, open_clear, suffixes_of
from producers.reading.delimited import Layout, read_delimited
from producers.reading.objects import read_elements
from producers.reading.rows import BadRow, Row
from schemas.errors import InputFileError

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(slots=True)
class EventFile:
    """A file of events that can be read again: its content's hash, and its lines as native events.

    A line without an `id` gets one made of its content and of how often that content came before: the same in every
    run, and the same when the file grows at its end.
    """

    clear: ClearFile
    sha256: str
    mapping: Mapping | None
    """None: the file is JSON."""
    is_historical: bool = False
    delimiter: str | None = None
    strict: Strict | None = None
    """What is refused beside what cannot be read; None: nothing."""
    refused: Callable[[Refused], None] = field(default=lambda refused: None)

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """All of the file that decides what is sent."""
        tolerated = sorted(self.strict.tolerated) if self.strict is not None else None
        return self.sha256, self.is_historical, self.mapping, self.delimiter, tolerated

    def events(self) -> Iterator[tuple[int, bytes]]:
        """(line number, event) in the order of sending: that of the file, or of time in a historical one."""
        return self._sorted() if self.is_historical else self._in_file_order()

    def count_late(self, horizon_ms: int) -> tuple[int, int]:
        """(events that occurred before an instant and are late then, all events that would be sent). With `strict`."""
        assert self.strict is not None  # noqa: S101 - it knows what is never late, and what is tolerated
        late = 0

        def note(refused: Refused) -> None:
            nonlocal late
            late += refused.reason == Kind.LATE

        strict = replace(self.strict, earliest_ms=horizon_ms)
        in_time = sum(1 for _ in replace(self, strict=strict, is_historical=False, refused=note).events())
        return late, late + in_time

    def count_lines(self) -> int:
        """Lines of the file."""
        file = self.clear.rewound()
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))

    def _in_file_order(self) -> Iterator[tuple[int, bytes]]:
        seen: Counter[bytes] = Counter()
        for number, line in self._raw():
            if line[:1] != b"{":
                self.refused(Refused(number, "not_an_object", "an event is a JSON object on one line"))
                continue
            event = _with_id(line, seen)
            problem = None if self.strict is None else self.strict.problem_of(event)
            if problem is not None:
                self.refused(Refused(number, *problem))
            else:
                yield number, event

    def _sorted(self) -> Iterator[tuple[int, bytes]]:
        """By time; lines of one instant keep the file's order."""
        with Sorter() as sorter:
            for number, line in self._in_file_order():
                at_ms = occurred_at_ms_of(line)
                if at_ms is None:
                    self.refused(Refused(number, "invalid_time", no_time(line)))
                else:
                    sorter.add(at_ms, number, event=_received_when_it_occurred(line))
            yield from sorter

    def _raw(self) -> Iterator[tuple[int, bytes]]:
        return read_elements(self.clear) if self.mapping is None else self._rows(self.mapping)

    def _rows(self, mapping: Mapping) -> Iterator[tuple[int, bytes]]:
        table = read_delimited(self.clear, Layout(self.delimiter))
        tolerated = frozenset(Kind) if self.strict is None else self.strict.tolerated
        mapping.check(table, tolerated, name=self.clear.name)
        for row in table.rows:
            if isinstance(row, BadRow):
                self.refused(Refused(row.line, "unreadable", row.detail))
            elif row.surplus and Kind.CELLS not in tolerated:
                self.refused(Refused(row.line, Kind.CELLS, surplus_of(row)))
            elif empty := mapping.empty_time(row.cells):
                self.refused(Refused(row.line, "invalid_time", f"the cell of {empty!r} is empty"))
            else:
                yield row.line, mapping.event_of(row.cells)


def surplus_of(row: Row) -> str:
    """What to say of a row with more cells than headings."""
    return f"{row.surplus} more filled cells than headings: is a cell that holds the delimiter without quotes?"


def open_events(
    path: str,
    *,
    mapping: Mapping,
    is_historical: bool = False,
    refused: Callable[[Refused], None],
    strict: Strict | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> EventFile:
    """Open a file, or stdin for `-`; gzip and zip are seen by their first bytes, CSV by its name or a mapping. Raises
    InputFileError."""
    clear = open_clear(path, encoding=encoding)
    if clear.is_binary:
        raise InputFileError(
            f"{path} is a workbook or a table of Parquet: `funnelcast import` reads it (docs/import.md)"
        )
    suffixes = suffixes_of(path)
    is_csv = bool(mapping.columns or mapping.constants) or ".csv" in suffixes or ".tsv" in suffixes
    return EventFile(
        clear=clear,
        sha256=clear.sha256(),
        mapping=mapping if is_csv else None,
        is_historical=is_historical,
        delimiter=delimiter or ("\t" if ".tsv" in suffixes else None),
        strict=strict,
        refused=refused,
    )


def _with_id(line: bytes, seen: Counter[bytes]) -> bytes:
    """The line, with an id made of its content where it has none. A broken line stays: the collector says why."""
    if b'"id"' in line:
        try:
            event_id = orjson.loads(line).get("id")
        except orjson.JSONDecodeError:
            return line
        if event_id is not None and event_id != "":
            return line
    digest = hashlib.sha256(line).digest()[:16]
    seen[digest] += 1
    event_id = f"f-{digest.hex()}-{seen[digest]}"
    return _replaced(line, {"id": event_id})


def _received_when_it_occurred(line: bytes) -> bytes:
    """Without a time of reception of its own: the collector takes that of the event then."""
    return _replaced(line, {"received_at_ms": None}) if b'"received_at_ms"' in line else line


def _replaced(line: bytes, changes: dict[str, str | None]) -> bytes:
    """The object with members set or (None) removed; all others stay as they were written."""
    try:
        members = _members.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return line
    for member, value in changes.items():
        members.pop(member, None)
        if value is not None:
            members[member] = msgspec.Raw(orjson.dumps(value))
    return msgspec.json.encode(members)


def no_time(line: bytes) -> str:
    """Why history cannot take an event."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "the line is no JSON"
    stated = event.get("occurred_at") if isinstance(event, dict) else None
    if stated is None:
        return "history needs occurred_at(_ms) on every line"
    return f"{str(stated)[:64]!r} is no time; write RFC 3339, e.g. 2025-01-01T10:00:00Z"


def occurred_at_ms_of(line: bytes) -> int | None:
    """When an event says it occurred, or None."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(event, dict):
        return None
    at_ms = event.get("occurred_at_ms")
    if isinstance(at_ms, int) and not isinstance(at_ms, bool):
        return at_ms
    text = event.get("occurred_at")
    return parse_time_ms(text) if isinstance(text, str) else None


def batches(events: Iterable[tuple[int, bytes]], *, lines: int, size: int) -> Iterator[list[tuple[int, bytes]]]:
    """Events in order, in batches of at most `lines` and about `size` bytes."""
    batch: list[tuple[int, bytes]] = []
    weight = 0
    for event in events:
        if batch and (len(batch) >= lines or weight + len(event[1]) > size):
            yield batch
            batch, weight = [], 0
        batch.append(event)
        weight += len(event[1]) + 1
    if batch:
        yield batch
