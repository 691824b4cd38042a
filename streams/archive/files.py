"""The files of an archive: one folder for each day, written by DuckDB, each put in place by one rename.

The set of files is the cursor: every file says in its metadata up to which offset of each partition it reaches. The
newest file of a day grows by being replaced with one that holds more, until it is large; so there is never a moment in
which a record stands in two files or in none, and small files do not pile up.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from schemas.errors import UsageError

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

    path: Path
    reaches: Mapping[int, int]
    """By partition: the offset behind its last record."""
    rows: int


class ArchiveFolder:
    """A local folder that holds an archive. Raises UsageError where it cannot be used."""

    def __init__(self, path: Path) -> None:
        try:
            import duckdb
        except ImportError:
            raise UsageError("an archive needs DuckDB: pip install 'funnelcast[import]'") from None
        self.path = path
        self._duck: Any = duckdb.connect(config={"threads": 2})
        self._duck.execute("SET enable_progress_bar = false")  # it would draw on stdout

    def files(self) -> list[ArchiveFile]:
        """All files, oldest day first."""
        if not any(self.path.glob("day=*/*.parquet")):
            return []
        glob = str(self.path / "day=*/*.parquet")
        reaches = self._duck.execute(
            "SELECT file_name, decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?", [glob, _NEXT]
        ).fetchall()
        rows = dict(self._duck.execute("SELECT file_name, num_rows FROM parquet_file_metadata(?)", [glob]).fetchall())
        return [
            ArchiveFile(Path(name), {int(p): offset for p, offset in json.loads(text).items()}, rows[name])
            for name, text in sorted(reaches)
        ]

    def cursor(self) -> dict[int, int]:
        """By partition: the next offset to be written."""
        cursor: dict[int, int] = {}
        for file in self.files():
            for partition, reached in file.reaches.items():
                cursor[partition] = max(cursor.get(partition, 0), reached)
        return cursor

    def first(self, partition: int) -> int | None:
        """The first offset that is kept; None where nothing is."""
        if not self.files():
            return None
        ((first,),) = self._duck.execute(
            'SELECT min("offset") FROM read_parquet(?) WHERE partition = ?', [self._glob(), partition]
        ).fetchall()
        return None if first is None else int(first)

    def read(self, partition: int, *, start: int, end: int) -> tuple[Sequence[KeptRecord], int]:
        """Records from `start` on and the next offset, at most `end`. What was forgotten is left out."""
        rows = self._duck.execute(
            'SELECT key, record, timestamp_ms, "offset" FROM read_parquet(?) WHERE partition = ? AND "offset" >= ? '
            f'AND "offset" < ? ORDER BY "offset" LIMIT {_READ_ROWS}',
            [self._glob(), partition, start, end],
        ).fetchall()
        reached = rows[-1][3] + 1 if len(rows) == _READ_ROWS else end
        return [
            KeptRecord(None if key is None else key.encode(), record.encode(), time_ms, offset)
            for key, record, time_ms, offset in rows
            if record is not None
        ], reached

    def events(self) -> Iterator[bytes]:
        """Events and ticks of all partitions in the order in which they came, as they stand on Kafka. Who was forgotten
        is left out. Raises UsageError where there is no archive."""
        if not self.files():
            raise UsageError(f"{self.path} holds no archive (day=YYYY-MM-DD/*.parquet)")
        result = self._duck.execute(
            "SELECT record FROM read_parquet(?) WHERE kind IN ('event', 'tick') AND record IS NOT NULL "
            'ORDER BY timestamp_ms, partition, "offset"',
            [self._glob()],
        )
        while rows := result.fetchmany(_READ_ROWS):
            yield from (record.encode() for (record,) in rows)

    def add(self, day: str, rows: Sequence[Row]) -> None:
        """Write rows that continue the cursor, all of them or none."""
        if not rows:
            return
        reaches: dict[int, int] = {}
        for row in rows:
            reaches[row.partition] = max(reaches.get(row.partition, 0), row.offset + 1)
        folder = self.path / f"day={day}"
        folder.mkdir(parents=True, exist_ok=True)
        mine = [file for file in self.files() if file.path.parent.name == folder.name]
        grows = mine[-1] if mine and mine[-1].rows < GROWS_UP_TO else None
        path = grows.path if grows is not None else folder / f"{len(mine) + 1:06}.parquet"
        if grows is not None:
            reaches = {**grows.reaches, **reaches}
        source = self._written(rows)
        try:
            before = f"SELECT * FROM read_parquet({_text(str(path))}, hive_partitioning = false) UNION ALL "
            self._replace(path, (before if grows is not None else "") + _columns(source), reaches=reaches)
        finally:
            source.unlink()

    def erase(self, persons: Sequence[str]) -> int:
        """Take everything that says who it was out of the rows of these keys; how many rows. The rows stay, without
        names, so that the number of rows does not change."""
        erased = 0
        keys = "(" + ", ".join(map(_text, persons)) + ")"
        for file in self.files() if persons else ():
            source = f"read_parquet({_text(str(file.path))}, hive_partitioning = false)"
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
                self._replace(file.path, f"SELECT * REPLACE ({blank}) FROM {source}", reaches=file.reaches)
            erased += count
        return erased

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time. Raises UsageError."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(f"{self.path} is being written by another process") from None
            for left in self.path.glob("**/*.tmp"):
                left.unlink()
            yield

    def _glob(self) -> str:
        return str(self.path / "day=*/*.parquet")

    def _written(self, rows: Sequence[Row]) -> Path:
        path = self.path / "rows.tmp"
        with path.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row._asdict()) + "\n")
        return path

    def _replace(self, path: Path, query: str, *, reaches: Mapping[int, int]) -> None:
        written = path.with_name(path.name + ".tmp")
        said = _text(json.dumps({str(partition): reached for partition, reached in reaches.items()}))
        self._duck.execute(
            f'COPY (SELECT * FROM ({query}) ORDER BY partition, "offset") TO {_text(str(written))} '
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP_ROWS}, KV_METADATA {{{_NEXT}: {said}}})"
        )
        with written.open("rb") as file:
            os.fsync(file.fileno())
        written.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


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
