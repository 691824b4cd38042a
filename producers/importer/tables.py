"""An input of an import file as rows: its file opened as it says, its second tables joined. Knows no events."""

from __future__ import annotations

import glob
import hashlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from producers.importer.columns import Row as Cells
from producers.importer.columns import resolved, text_of
from producers.importer.definition import Input, Join, TableFile
from producers.importer.mapping import check_doubled
from producers.importer.problems import Kind, Problem
from producers.ingest.repair import repair
from producers.reading.clear import ClearFile, open_clear, suffixes_of
from producers.reading.columnar import read_excel, read_parquet
from producers.reading.delimited import Layout, read_delimited
from producers.reading.objects import is_array, read_elements
from producers.reading.rows import BadRow, Row, Table
from schemas.errors import InputFileError

_decode: Final = msgspec.json.Decoder(float_hook=lambda text: text).decode
"""Decimals stay as they are written, as texts."""
_raw_decode: Final = msgspec.json.Decoder(msgspec.Raw).decode
_members_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list_decode: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_LOOSE: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A file that was opened, and what it is."""

    clear: ClearFile
    table: TableFile
    format: str
    rows: str | None = None
    """Where a known shape has its list."""

    def sha256(self) -> str:
        """Of the content in clear."""
        return self.clear.sha256()

    def read(self, tolerated: frozenset[Kind]) -> Table:
        """Its rows, from the beginning. Raises InputFileError."""
        table, clear = self.table, self.clear
        if self.format == "json":
            rows = table.rows or self.rows
            return Table((), _objects(clear, rows))
        if self.format == "parquet":
            return read_parquet(clear)
        if self.format == "xlsx":
            table_read = read_excel(clear, sheet=table.sheet, heading=table.heading, columns=table.columns)
        else:
            delimiter = table.delimiter or ("\t" if ".tsv" in suffixes_of(clear.name) else None)
            table_read = read_delimited(clear, Layout(delimiter, table.heading, table.columns))
        check_doubled(table_read, tolerated, name=clear.name)
        return table_read


def open_tables(table: TableFile, directory: Path) -> list[OpenTable]:
    """The files of an input; a pattern stands for several. Raises InputFileError."""
    path = str(directory / table.file)
    paths = [path] if Path(path).is_file() else sorted(glob.glob(path, recursive=True))
    if not paths:
        raise InputFileError(f"{path}: there is no such file")
    opened = []
    for each in paths:
        clear = open_clear(each, encoding=table.encoding, member=table.member)
        opened.append(OpenTable(clear, table, table.format or _format_of(clear)))
    return opened


def _format_of(clear: ClearFile) -> str:
    if clear.is_binary:
        return "parquet" if clear.head(4) == b"PAR1" else "xlsx"
    return "json" if clear.head(512).lstrip()[:1] in (b"{", b"[") else "csv"


def _objects(clear: ClearFile, path: str | None) -> Iterator[Row | BadRow]:
    for number, text in elements_of(clear, path):
        try:
            value = decode_repaired(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield BadRow(number, f"is no JSON: {error}")
            continue
        yield Row(number, value) if isinstance(value, dict) else BadRow(number, "is no JSON object")


def decode_repaired(text: bytes) -> Any:
    """The value; where it is no JSON, with what can be repaired: a bare NaN, as Python writes it, is an empty cell."""
    try:
        return _decode(text)
    except msgspec.DecodeError:
        repaired = repair(text, has_lines=False)
        if not repaired.repairs:
            raise
    return _decode(repaired.text)


def elements_of(clear: ClearFile, path: str | None) -> Iterator[tuple[int, bytes]]:
    """Rows of JSON as they are written: lines, elements of an array, or of the list at `path` of documents, which are
    pages of an API and held in memory one by one."""
    documents: Iterator[tuple[int, bytes]] = read_elements(clear)
    if not is_array(clear) and not _is_json(clear.rewound().readline()):
        text = clear.rewound().read()  # one document over many lines
        documents = iter([(1, text if _is_json(text) else repair(text, has_lines=False).text)])
    if path is None:
        yield from documents
        return
    number = 0
    for _, text in documents:
        inner = _list_in(text, path.split("."))
        for element in [text] if inner is None else map(bytes, inner):
            number += 1
            yield number, element


def _is_json(text: bytes) -> bool:
    try:
        _raw_decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _list_in(text: bytes, path: list[str]) -> list[msgspec.Raw] | None:
    """The elements as they are written; None where there is no such list."""
    raw = msgspec.Raw(text)
    try:
        for part in path:
            raw = _members_decode(raw)[part]
        return _list_decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return None


class JoinedTable:
    """A second table, by its key, on disk."""

    def __init__(self, join: Join, directory: Path, *, tolerated: frozenset[Kind]) -> None:
        self._join = join
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("create table rows (key text primary key, cells blob) without rowid")
        self._database.execute("begin")
        self.columns: tuple[str, ...] = ()
        self.sha256 = ""
        self._tolerates_none = Kind.JOIN in tolerated
        for opened in open_tables(join, directory):
            self.sha256 += opened.sha256()
            self._read(opened, tolerated)

    def _read(self, opened: OpenTable, tolerated: frozenset[Kind]) -> None:
        table, name = opened.read(tolerated), opened.clear.name
        self.columns = tuple(f"{self._join.name}.{column}" for column in table.columns)
        key_column = resolved(self._join.key, table.columns, where=f"{name}: join.key")
        for row in table.rows:
            if isinstance(row, BadRow):
                raise InputFileError(f"{name}:{row.line}: {row.detail}")
            key = self._key(row.cells.get(key_column))
            if not key:
                continue
            named = {f"{self._join.name}.{column}": cell for column, cell in row.cells.items()}
            try:
                self._database.execute("insert into rows values (?, ?)", (key, msgspec.json.encode(named)))
            except sqlite3.IntegrityError:
                raise InputFileError(
                    f"{name}:{row.line}: {key!r} stands twice in {key_column!r}; the key of a join stands once"
                ) from None

    def _key(self, value: object) -> str:
        text = text_of(value) or ""
        return _LOOSE.sub("", text).casefold() if self._join.match == "loose" else text

    def join(self, cells: Cells) -> Problem | None:
        """Add the columns of the row that belongs to it."""
        wanted = cells.text(self._join.on)
        joined = self._database.execute("select cells from rows where key = ?", (self._key(wanted),)).fetchone()
        if joined is not None:
            cells.add(_decode(joined[0]))
        elif wanted is not None and not self._tolerates_none:
            return Problem(Kind.JOIN, f"{self._join.file} has no row with {self._join.key} = {wanted!r}")
        return None


def digest_of(parts: list[str]) -> str:
    """One name for several hashes."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def input_name(table: Input) -> str:
    """How an input is called."""
    return table.name or table.file
