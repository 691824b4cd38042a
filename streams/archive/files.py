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
from uuid import uuid4

from schemas.errors import TryAgainError, UsageError
from streams.archive.columns import TEXT_COLUMNS, columns_of, is_personal, quoted
from streams.archive.places import other_writer, place_of

GROWS_UP_TO: Final = 100_000
"""Rows at which a file is left alone and the next one begun."""
_READ_ROWS: Final = 5_000
_GROUP_ROWS: Final = 10000
"""A stretch of some partitions is found without reading the others: each process of a recount reads its own."""
_PLACE: Final = 'partition, "offset"'
_RECORD: Final = '"offset", timestamp_ms, encode(key), encode(record), partition'
_NEXT: Final = "funnelcast_next"
_WRITER: Final = "funnelcast_writer"
"""A number of the process that wrote a file, so that no two write the same bytes: a store can tell whose they are."""


class Row(NamedTuple):
    """A record of the log."""

    partition: int
    offset: int
    timestamp_ms: int
    key: str | None
    record: str


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


class ReplacedError(Exception):
    """A file was replaced while it was read, as it happens in a store."""


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
        self._failure = duckdb.Error
        self._duck.execute("SET enable_progress_bar = false")  # it would draw on stdout
        self._place.register(self._duck)
        self._known: dict[str, ArchiveFile] = {}
        self._writer = uuid4().hex

    def files(self) -> list[ArchiveFile]:
        """All files, oldest day first. Only those that have changed are looked into."""
        while True:
            versions = self._place.versions()
            known = {name: file for name, file in self._known.items() if versions.get(name) == file.version}
            changed = sorted(versions.keys() - known.keys())
            try:
                self._known = known | self._looked_into({name: versions[name] for name in changed})
            except ReplacedError:
                continue
            return [self._known[name] for name in sorted(self._known)]

    @contextmanager
    def _reading(self, versions: Mapping[str, str]) -> Iterator[None]:
        """Tell what goes wrong with files of these versions. Raises ReplacedError, else TryAgainError where the store
        may be away, and UsageError for what is no archive's file."""
        try:
            yield
        except self._failure as error:
            now = self._place.versions()
            if any(now.get(name) != version for name, version in versions.items()):
                raise ReplacedError from error
            told = f"{self.name}: {str(error).strip().splitlines()[-1]}"
            raise (UsageError if self._place.is_local else TryAgainError)(told) from error

    def _looked_into(self, versions: Mapping[str, str]) -> dict[str, ArchiveFile]:
        if not versions:
            return {}
        addresses = [self._place.address(name) for name in versions]
        with self._reading(versions):
            reaches = self._duck.execute(
                "SELECT file_name, decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?", [addresses, _NEXT]
            ).fetchall()
            sizes = self._duck.execute(
                "SELECT file_name, num_rows FROM parquet_file_metadata(?)", [addresses]
            ).fetchall()
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

    def records_of(self, file: ArchiveFile, partitions: Sequence[int]) -> list[tuple[Any, ...]]:
        """(offset, time, key, record, partition) of what a file holds of partitions, in the order of partitions and
        offsets; of who was forgotten without key and record. Raises ReplacedError."""
        with self._reading({file.name: file.version}):
            rows: list[tuple[Any, ...]] = self._duck.execute(
                f"SELECT {_RECORD} FROM read_parquet(?) WHERE partition IN (SELECT unnest(?)) ORDER BY {_PLACE}",
                [self._place.address(file.name), list(partitions)],
            ).fetchall()
        return rows

    def holding(self, partition: int, offset: int) -> ArchiveFile | None:
        """The first file that reaches beyond an offset."""
        for files in (self._known.values(), self.files()):
            by_name = sorted(files, key=lambda file: file.name)
            for file in by_name:
                if file.reaches.get(partition, 0) > offset:
                    return file
        return None

    def events(self) -> Iterator[bytes]:
        """Events and ticks of all partitions in the order in which they came, as they stand on Kafka. Who was forgotten
        is left out. Raises UsageError where there is no archive."""
        if not (files := self.files()):
            raise UsageError(f"{self.name} holds no archive (day=YYYY-MM-DD/*.parquet)")
        try:
            with self._reading({file.name: file.version for file in files}):
                result = self._duck.execute(
                    "SELECT record FROM read_parquet(?) WHERE kind IN ('event', 'tick') AND record IS NOT NULL "
                    'ORDER BY timestamp_ms, partition, "offset"',
                    [[self._place.address(file.name) for file in files]],
                )
                while rows := result.fetchmany(_READ_ROWS):
                    yield from (record.encode() for (record,) in rows)
        except ReplacedError:
            raise TryAgainError(f"{self.name} was written while it was read") from None

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
            query = columns_of(source)
            if grows is not None:
                reaches = {**grows.reaches, **reaches}
                query = f"SELECT * FROM {self._rows_of(grows)} UNION ALL {query}"
            with self._replacing(grows):
                self._put(name, query, reaches=reaches, version=None if grows is None else grows.version)
        finally:
            source.unlink(missing_ok=True)

    def erase(self, persons: Sequence[str]) -> int:
        """Take everything that says who it was out of the rows of these keys; how many rows. The rows stay, without
        names, so that the number of rows does not change."""
        erased = 0
        keys = "(" + ", ".join(map(quoted, persons)) + ")"
        for file in self.files() if persons else ():
            source = self._rows_of(file)
            is_of = f"(key IN {keys} OR link IN {keys})"
            with self._replacing(file):
                ((count,),) = self._duck.execute(f"SELECT count(*) FROM {source} WHERE {is_of}").fetchall()
            if count:
                blank = ", ".join(
                    f"CASE WHEN {is_of} THEN NULL ELSE {name} END AS {name}"
                    for name in (
                        "key",
                        "record",
                        "properties",
                        "context",
                        *(c for c in TEXT_COLUMNS if is_personal(c)),
                    )
                )
                query = f"SELECT * REPLACE ({blank}) FROM {source}"
                with self._replacing(file):
                    self._put(file.name, query, reaches=file.reaches, version=file.version)
            erased += count
        return erased

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time. Raises UsageError."""
        with self._place.writing():
            yield

    @contextmanager
    def _replacing(self, file: ArchiveFile | None) -> Iterator[None]:
        """A file is read to be replaced: nobody else may do so meanwhile. Raises UsageError."""
        try:
            with self._reading({} if file is None else {file.name: file.version}):
                yield
        except ReplacedError:
            raise other_writer(self.name) from None

    def _rows_of(self, file: ArchiveFile) -> str:
        return f"read_parquet({quoted(self._place.address(file.name))}, hive_partitioning = false)"

    def _written(self, rows: Sequence[Row]) -> Path:
        path = self._place.scratch() / "rows.tmp"
        with path.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row._asdict()) + "\n")
        return path

    def _put(self, name: str, query: str, *, reaches: Mapping[int, int], version: str | None) -> None:
        written = self._place.scratch() / "file.tmp"
        reached = json.dumps({str(partition): offset for partition, offset in reaches.items()})
        told = f"{_NEXT}: {quoted(reached)}, {_WRITER}: {quoted(self._writer)}"
        self._duck.execute(
            f"COPY (SELECT * FROM ({query}) ORDER BY {_PLACE}) TO {quoted(str(written))} "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP_ROWS}, KV_METADATA {{{told}}})"
        )
        self._place.put(written, name, version=version)


def _name(address: str) -> str:
    """A file's name out of an address, which a store may write in several ways."""
    return "/".join(address.rsplit("/", 2)[1:])
