"""Files as lines of native events: JSONL as it stands, CSV through a mapping of columns. Reads; sends nothing.

The mapping: `--map id=order_no,user_id=customer,occurred_at=date,value=amount --set name=payment`. Left of `=` is the
member of the event, right the column; what is no member of an event becomes a property. Cells stay texts, so money is
as exact as the file; empty cells are left out. Columns that are not mapped are left out; without `--map` every column
goes to the member or property of its own name.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec
import orjson

from producers.ingest.times import parse_time_ms
from schemas.errors import InputFileError

MEMBERS: Final = frozenset(
    {"id", "name", "occurred_at", "anonymous_id", "contact_id", "user_id", "email", "phone", "source"}
)
_MILLISECONDS: Final = frozenset({"occurred_at_ms"})
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which column becomes which member or property, and what is the same on every line."""

    columns: tuple[tuple[str, str], ...] = ()
    """(member or property, column); empty: every column under its own name."""
    constants: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, mapped: Sequence[str], constants: Sequence[str]) -> Mapping:
        """From `a=b,c=d` texts. Raises InputFileError."""
        return cls(tuple(_pairs("--map", mapped)), tuple(_pairs("--set", constants)))

    def event_of(self, row: dict[str, str]) -> bytes:
        """A native event as JSON. Raises InputFileError for a column that is not there."""
        columns = self.columns or tuple((column, column) for column in row)
        event: dict[str, object] = {}
        properties: dict[str, str] = {}
        for target, column in columns:
            if column not in row:
                raise InputFileError(f"there is no column {column!r}; the file has: {', '.join(row)}")
            _put(event, properties, target, row[column])
        for target, text in self.constants:
            _put(event, properties, target, text)
        return orjson.dumps(event | {"properties": properties})


def _pairs(flag: str, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        for part in text.split(","):
            target, equals, value = part.partition("=")
            if not equals or not target.strip() or not value.strip():
                raise InputFileError(f"{flag} {part!r}: write member=column, e.g. user_id=customer,value=amount")
            yield target.strip(), value.strip()


def _put(event: dict[str, object], properties: dict[str, str], target: str, cell: str) -> None:
    text = cell.strip()
    if not text:
        return
    if target in MEMBERS:
        event[target] = text
    elif target in _MILLISECONDS:
        event[target] = int(text) if text.isascii() and text.lstrip("-").isdigit() else text
    else:
        properties[target] = text


@dataclass(slots=True)
class Refused:
    """A line that is not sent."""

    line: int
    reason: str
    detail: str


@dataclass(slots=True)
class EventFile:
    """A file of events that can be read again: its content's hash, and its lines as native events.

    A line without an `id` gets one made of its content and of how often that content came before: the same in every
    run, and the same when the file grows at its end.
    """

    name: str
    file: BinaryIO
    sha256: str
    mapping: Mapping | None
    """None: the file is JSONL."""
    is_historical: bool = False
    delimiter: str = ","
    refused: Callable[[Refused], None] = field(default=lambda refused: None)

    def events(self) -> Iterator[tuple[int, bytes]]:
        """(line number, event) in the order of sending: that of the file, or of time in a historical one."""
        return self._sorted() if self.is_historical else self._in_file_order()

    def _in_file_order(self) -> Iterator[tuple[int, bytes]]:
        seen: Counter[bytes] = Counter()
        for number, line in self._raw():
            if line[:1] != b"{":
                self.refused(Refused(number, "not_an_object", "an event is a JSON object on one line"))
                continue
            yield number, _with_id(line, seen)

    def _sorted(self) -> Iterator[tuple[int, bytes]]:
        """By time; lines of one instant keep the file's order. All of them are in memory."""
        timed = []
        for number, line in self._in_file_order():
            at_ms = occurred_at_ms_of(line)
            if at_ms is None:
                self.refused(Refused(number, "invalid_time", "history needs occurred_at(_ms) on every line"))
            else:
                timed.append((at_ms, number, _received_when_it_occurred(line)))
        timed.sort(key=lambda one: one[:2])
        return ((number, line) for _, number, line in timed)

    def _raw(self) -> Iterator[tuple[int, bytes]]:
        self.file.seek(0)
        if self.mapping is not None:
            yield from self._rows(self.mapping)
            return
        for number, line in enumerate(self.file, 1):
            if text := line.strip().removeprefix(b"\xef\xbb\xbf"):
                yield number, text

    def _rows(self, mapping: Mapping) -> Iterator[tuple[int, bytes]]:
        text = io.TextIOWrapper(self.file, encoding="utf-8-sig", newline="")
        try:
            reader = csv.DictReader(text, delimiter=self.delimiter, strict=True)
            for row in reader:
                row.pop(None, None)  # cells beyond the heading
                yield reader.line_num, mapping.event_of({name: cell or "" for name, cell in row.items()})
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputFileError(f"{self.name}: is no CSV in UTF-8: {error}") from None
        finally:
            text.detach()


def open_events(
    path: str, *, mapping: Mapping, is_historical: bool = False, refused: Callable[[Refused], None]
) -> EventFile:
    """Open a file, or stdin for `-`; gzip is seen by its first bytes, CSV by its name or a mapping. Raises
    InputFileError."""
    try:
        file = _rewindable(path)
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror or error}") from None
    suffixes = [one.lower() for one in Path(path).suffixes]
    is_csv = bool(mapping.columns or mapping.constants) or ".csv" in suffixes or ".tsv" in suffixes
    start = file.read(512).lstrip()
    file.seek(0)
    if not is_csv and start[:1] == b"[":
        raise InputFileError(f"{path} is one JSON array; write an event a line (jq -c '.[]' {path})")
    digest = hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
    return EventFile(
        name=path,
        file=file,
        sha256=digest,
        mapping=mapping if is_csv else None,
        is_historical=is_historical,
        delimiter="\t" if ".tsv" in suffixes else ",",
        refused=refused,
    )


def _rewindable(path: str) -> BinaryIO:
    """The file in clear, to be read more than once: stdin and gzip go through a temporary file."""
    source: BinaryIO = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115 - closed with the process
    if path != "-":
        is_gzip = source.read(2) == b"\x1f\x8b"
        source.seek(0)
        if not is_gzip:
            return source
        source = cast(BinaryIO, gzip.GzipFile(fileobj=source))
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the import
    shutil.copyfileobj(source, spool)
    spool.seek(0)
    return spool


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
