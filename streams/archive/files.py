"""The files of an archive: one folder for each day, written by DuckDB, each put in place in one step (`places`).

The set of files is the cursor: every file says in its metadata up to which offset of each partition it reaches. The
newest file of a day grows by being replaced with one that holds more, until it is large; so there is never a moment in
which a record stands in two files or in none, and small files do not pile up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple

from schemas.errors import UsageError
from streams.archive.places import other_writer, place_of

GROWS_UP_TO: Final = 100_000
"""Rows at which a file is left alone and the next one begun."""
_READ_ROWS: Final = 5_000
_GROUP_ROWS: Final = 10000
"""A stretch of one partition is found without reading the others: a recount reads a partition at a time."""
_NEXT: Final = "funnelcast_next"
_JSON: Final = "{partition: 'INTEGER', \"offset\": 'BIGINT', timestamp_ms: 'BIGINT', key: 'VARCHAR', record: 'VARCHAR'}"
_TEXT_COLUMNS: Final = ("id", "name", "source", "user_id", "contact_id", "anonymous_id", "link")
_KIND: Final = """CASE WHEN NOT json_valid(record) THEN 'other'
  WHEN record LIKE '{"forward":%' THEN 'forward'
  WHEN json_exists(record, '$.tick') THEN 'tick' WHEN json_exists(record, '$.forget') THEN 'forget'
  WHEN json_exists(record, '$.link') THEN 'link' WHEN json_exists(record, '$.name') THEN 'event' ELSE 'other' END"""


class Row(NamedTuple):
    """A record of the log."""

    partition: int
    offset: int
    timestamp_ms: int
    key: str | None
    record: str


class KeptRecord(NamedTuple):
    """A record as counting takes it."""

    key: bytes | None
    value: bytes
    timestamp: int
    offset: int


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file."""

    name: str
    """Below the place, with the folder of its day."""
    version: str
    reaches: Mapping[int, int]
    """By partition: the offset behind its last record."""
    rows: int

    @property
    def day(self) -> str:
        """The folder it lies in."""
        return self.name.partition("/")[0]


class ArchiveFolder:
    """A folder that holds an archive, by its path or address. Raises UsageError where it cannot be used."""

    def __init__(self, path: str | Path) -> None:
        try:
            import duckdb
        except ImportError:
            raise UsageError("an archive needs DuckDB: pip install 'funnelcast[import]'") from None
        self._place = place_of(path)
        self.name = self._place.name
        self._duck: Any = duckdb.connect(config={"threads": 2})
        self._duck.execute("SET enable_progress_bar = false")  # it would draw on stdout
        self._place.register(self._duck)
        self._known: dict[str, ArchiveFile] = {}

    def files(self) -> list[ArchiveFile]:
        """All files, oldest day first. Only those that have changed are looked into."""
        versions = self._place.versions()
        known = {name: file for name, file in self._known.items() if versions.get(name) == file.version}
        changed = sorted(versions.keys() - known.keys())
        if changed:
            known |= self._looked_into({name: versions[name] for name in changed})
        self._known = known
        return [known[name] for name in sorted(known)]

    def _looked_into(self, versions: Mapping[str, str]) -> dict[str, ArchiveFile]:
        addresses = [self._place.address(name) for name in versions]
        reaches = self._duck.execute(
            "SELECT file_name, decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?", [addresses, _NEXT]
        ).fetchall()
        sizes = self._duck.execute("SELECT file_name, num_rows FROM parquet_file_metadata(?)", [addresses]).fetchall()
        rows = {_name(address): number for address, number in sizes}
        return {
            (name := _name(address)): ArchiveFile(
                name, versions[name], {int(p): offset for p, offset in json.loads(text).items()}, rows[name]
            )
            for address, text in reaches
        }

    def cursor(self) -> dict[int, int]:
        """By partition: the next offset to be written."""
        cursor: dict[int, int] = {}
        for file in self.files():
            for partition, reached in file.reaches.items():
                cursor[partition] = max(cursor.get(partition, 0), reached)
        return cursor

    def days(self) -> dict[int, str]:
        """By partition: the day of its newest record."""
        return {p: file.day.removeprefix("day=") for file in self.files() for p in file.reaches}

    def first(self, partition: int) -> int | None:
        """The first offset that is kept; None where nothing is."""
        holding = next((file for file in self.files() if partition in file.reaches), None)
        if holding is None:
            return None
        ((first,),) = self._duck.execute(
            'SELECT min("offset") FROM read_parquet(?) WHERE partition = ?',
            [self._place.address(holding.name), partition],
        ).fetchall()
        return int(first)

    def read(self, partition: int, *, start: int, end: int) -> tuple[Sequence[KeptRecord], int]:
        """Records from `start` on and the next offset, at most `end`. What was forgotten is left out. Of one file: days
        follow one another in each partition."""
        file = self._holding(partition, start)
        if file is None:
            return [], end
        rows = self._duck.execute(
            'SELECT key, record, timestamp_ms, "offset" FROM read_parquet(?) WHERE partition = ? AND "offset" >= ? '
            f'AND "offset" < ? ORDER BY "offset" LIMIT {_READ_ROWS}',
            [self._place.address(file.name), partition, start, end],
        ).fetchall()
        reached = rows[-1][3] + 1 if len(rows) == _READ_ROWS else min(end, file.reaches[partition])
        return [
            KeptRecord(None if key is None else key.encode(), record.encode(), time_ms, offset)
            for key, record, time_ms, offset in rows
            if record is not None
        ], reached

    def _holding(self, partition: int, offset: int) -> ArchiveFile | None:
        """The first file that reaches beyond an offset."""
        for files in (self._known.values(), self.files()):
            by_name = sorted(files, key=lambda file: file.name)
            if (found := next((f for f in by_name if f.reaches.get(partition, 0) > offset), None)) is not None:
                return found
        return None

    def events(self) -> Iterator[bytes]:
        """Events and ticks of all partitions in the order in which they came, as they stand on Kafka. Who was forgotten
        is left out. Raises UsageError where there is no archive."""
        if not self.files():
            raise UsageError(f"{self.name} holds no archive (day=YYYY-MM-DD/*.parquet)")
        result = self._duck.execute(
            "SELECT record FROM read_parquet(?) WHERE kind IN ('event', 'tick') AND record IS NOT NULL "
            'ORDER BY timestamp_ms, partition, "offset"',
            [self._place.address("day=*/*.parquet")],
        )
        while rows := result.fetchmany(_READ_ROWS):
            yield from (record.encode() for (record,) in rows)

    def add(self, day: str, rows: Sequence[Row]) -> None:
        """Write rows that continue the cursor, all of them or none. Raises UsageError where another process has written
        some of them."""
        if not rows:
            return
        reaches: dict[int, int] = {}
        for row in rows:
            reaches[row.partition] = max(reaches.get(row.partition, 0), row.offset + 1)
        cursor = self.cursor()
        if any(row.offset < cursor.get(row.partition, 0) for row in rows):
            raise other_writer(self.name)
        mine = [file for file in self._known.values() if file.day == f"day={day}"]
        newest = max(mine, key=lambda file: file.name, default=None)
        grows = newest if newest is not None and newest.rows < GROWS_UP_TO else None
        number = 0 if newest is None else int(PurePath(newest.name).stem)
        name = f"day={day}/{number + 1:06}.parquet" if grows is None else grows.name
        source = self._written(rows)
        try:
            query = _columns(source)
            if grows is not None:
                reaches = {**grows.reaches, **reaches}
                query = f"SELECT * FROM {self._rows_of(grows)} UNION ALL {query}"
            self._put(name, query, reaches=reaches, version=None if grows is None else grows.version)
        finally:
            source.unlink(missing_ok=True)

    def erase(self, persons: Sequence[str]) -> int:
        """Take everything that says who it was out of the rows of these keys; how many rows. The rows stay, without
        names, so that the number of rows does not change."""
        erased = 0
        keys = "(" + ", ".join(map(_text, persons)) + ")"
        for file in self.files() if persons else ():
            source = self._rows_of(file)
            is_of = f"(key IN {keys} OR link IN {keys})"
            ((count,),) = self._duck.execute(f"SELECT count(*) FROM {source} WHERE {is_of}").fetchall()
            if count:
                blank = ", ".join(
                    f"CASE WHEN {is_of} THEN NULL ELSE {name} END AS {name}"
                    for name in (
                        "key",
                        "record",
                        "properties",
                        "context",
                        *(c for c in _TEXT_COLUMNS if _is_personal(c)),
                    )
                )
                query = f"SELECT * REPLACE ({blank}) FROM {source}"
                self._put(file.name, query, reaches=file.reaches, version=file.version)
            erased += count
        return erased

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time. Raises UsageError."""
        with self._place.writing():
            yield

    def _rows_of(self, file: ArchiveFile) -> str:
        return f"read_parquet({_text(self._place.address(file.name))}, hive_partitioning = false)"

    def _written(self, rows: Sequence[Row]) -> Path:
        path = self._place.scratch() / "rows.tmp"
        with path.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row._asdict()) + "\n")
        return path

    def _put(self, name: str, query: str, *, reaches: Mapping[int, int], version: str | None) -> None:
        written = self._place.scratch() / "file.tmp"
        said = _text(json.dumps({str(partition): reached for partition, reached in reaches.items()}))
        self._duck.execute(
            f'COPY (SELECT * FROM ({query}) ORDER BY partition, "offset") TO {_text(str(written))} '
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP_ROWS}, KV_METADATA {{{_NEXT}: {said}}})"
        )
        self._place.put(written, name, version=version)


def _name(address: str) -> str:
    """A file's name out of an address, which a store may write in several ways."""
    return "/".join(address.rsplit("/", 2)[1:])


def _is_personal(column: str) -> bool:
    return column not in ("name", "source")


def _columns(source: Path) -> str:
    texts = ", ".join(
        f"CASE WHEN json_valid(record) THEN json_extract_string(record, '$.{name}') END AS {name}"
        for name in _TEXT_COLUMNS
    )
    times = ", ".join(
        f"CASE WHEN json_valid(record) THEN epoch_ms(TRY_CAST(json_extract_string(record, '$.{name}_ms') AS BIGINT)) "
        f"END AS {name}"
        for name in ("occurred_at", "received_at")
    )
    parts = ", ".join(
        f"CASE WHEN json_valid(record) THEN CAST(json_extract(record, '$.{name}') AS VARCHAR) END AS {name}"
        for name in ("properties", "context")
    )
    file = f"read_json({_text(str(source))}, format = 'newline_delimited', columns = {_JSON})"
    return (
        f'SELECT partition, "offset", timestamp_ms, {_KIND} AS kind, key, {texts}, {times}, {parts}, record FROM {file}'
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
