"""Reads everything an import file names, makes its events and sorts them by time, before the first one is sent.

Bounded memory: events, groups and ids lie in SQLite. Each row ends as taken, refused, or without an event, once.
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from producers.importer.archives import ARCHIVES, Archive, archive_rows, shape_of
from producers.importer.columns import Row as Cells
from producers.importer.definition import AD_SPEND, ImportFile, Input
from producers.importer.lines import surplus_of
from producers.importer.making import Made, RuleMaker, Rules, event_bytes
from producers.importer.outcomes import Checked, Maker, Rows, Watcher
from producers.importer.problems import Kind, Problem, Refused
from producers.importer.sorting import Sorter
from producers.importer.strict import Strict
from producers.importer.tables import JoinedTable, OpenTable, digest_of, input_name, open_tables
from producers.reading.rows import BadRow, Row

_LINE_BITS: Final = 40
_REPORT_ROWS: Final = 2_000
Progress = Callable[[int], None]


def _line(place: int) -> int:
    return place & (1 << _LINE_BITS) - 1


@dataclass(slots=True)
class Preparation:
    """One import. After `run`, `events` gives everything that is to be sent, as often as it is asked."""

    definition: ImportFile
    directory: Path
    strict: Strict
    on_refused: Callable[[Refused], None]
    on_progress: Progress = lambda rows: None
    watcher: Watcher | None = None
    rows: Rows = field(default_factory=Rows)
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was found and may be wrong: encodings."""
    is_historical: bool = True
    late: int = 0
    """Events that the space would no longer count, as far as it was asked."""
    _sorter: Sorter = field(default_factory=Sorter)
    _database: sqlite3.Connection = field(init=False)
    _hashes: list[str] = field(default_factory=list)
    _refused: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("create table ids (source text, id text, place integer, primary key (source, id))")
        self._database.execute("create table contents (digest blob primary key, count integer) without rowid")
        self._database.execute("create table groups (rule integer, key text, place integer, cells blob)")
        self._database.execute("create table members (place integer, other integer)")
        self._database.execute("create table grouped (place integer primary key, has_event integer)")
        self._database.execute("begin")

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """All that decides what is sent."""
        tolerated = sorted(self.strict.tolerated)
        return digest_of(self._hashes), self.definition.model_dump_json(), tolerated, self.is_historical

    @property
    def tolerated(self) -> frozenset[Kind]:
        """By the command and by the file."""
        return self.strict.tolerated

    def run(self) -> Rows:
        """Read everything. Raises InputFileError."""
        for number, table in enumerate(self.definition.inputs):
            joins = [JoinedTable(join, self.directory, tolerated=self.tolerated) for join in table.join]
            self._hashes += [join.sha256 for join in joins]
            for opened in open_tables(table, self.directory):
                self._hashes.append(opened.sha256())
                self._read(table, number, opened=opened, joins=joins)
        return self.rows

    @property
    def count(self) -> int:
        """Events that are to be sent."""
        return self._sorter.count

    def count_before(self, at_ms: int) -> int:
        """Events of earlier times."""
        return self._sorter.count_before(at_ms)

    def events(self) -> Iterator[tuple[int, bytes]]:
        """(place, event) by time."""
        yield from self._sorter

    def refused_by_collector(self, refused: Refused) -> None:
        """A row whose event was not taken, with all rows of its group."""
        others = self._database.execute("select other from members where place = ?", (refused.line,))
        for place in [refused.line, *(row[0] for row in others)]:
            if place not in self._refused:
                self._refused.add(place)
                self.rows.refuse_later()
                self._say(place, Problem(refused.reason, refused.detail))

    def _read(self, table: Input, number: int, *, opened: OpenTable, joins: Sequence[JoinedTable]) -> None:
        index = len(self.files)
        self.files.append(opened.clear.name)
        if opened.clear.encoding not in ("utf-8", "binary"):
            self.notes.append(f"{opened.clear.name} was read as {opened.clear.encoding}")
        maker, rows = self._rows_of(table, opened, joins=joins)
        empty = frozenset(table.empty)
        for row in rows:
            place = index << _LINE_BITS | row.line
            self.rows.read += 1
            if self.rows.read % _REPORT_ROWS == 0:
                self.on_progress(self.rows.read)
            if isinstance(row, BadRow):
                self._refuse(place, Problem("unreadable", row.detail))
                continue
            cells = Cells(row.line, row.cells, empty=empty)
            if row.surplus and Kind.CELLS not in self.tolerated:
                self._refuse_row(maker, cells, place=place, problem=Problem(Kind.CELLS, surplus_of(row)))
            else:
                self._take(maker, cells, place=place, joins=joins)
        self._take_groups(maker)

    def _rows_of(
        self, table: Input, opened: OpenTable, *, joins: Sequence[JoinedTable]
    ) -> tuple[Maker, Iterator[Row | BadRow]]:
        rules = self.definition.rules_of(table)
        if table.shape in ARCHIVES:
            return Archive(table.shape, self.strict.ingest), archive_rows(table.shape, opened)
        if table.shape is not None:
            shape = shape_of(table.shape)
            rules, opened = rules or shape.events, replace(opened, rows=shape.rows)
            table = table.model_copy(update={"times": {**shape.times, **table.times}})
        content = opened.read(self.tolerated)
        columns = [*content.columns, *(name for join in joins for name in join.columns)] if content.columns else []
        zone, where = self.definition.timezone, f"{input_name(table)}: event"
        makers = [
            RuleMaker(rule, table, columns=columns, zone=zone, where=f"{where} {rule.name}", tolerated=self.tolerated)
            for rule in rules
        ]
        return Rules(makers), content.rows

    def _take(self, maker: Maker, row: Cells, *, place: int, joins: Sequence[JoinedTable]) -> None:
        """Every event of a row, or none of them."""
        for join in joins:
            if problem := join.join(row):
                self._refuse_row(maker, row, place=place, problem=problem)
                return
        checked: list[Checked] = []
        for event in maker.events_of(row):
            outcome = event if isinstance(event, Problem) else self._checked(event, place)
            if isinstance(outcome, Problem):
                self._forget_ids(checked)
                self._refuse_row(maker, row, place=place, problem=outcome)
                return
            checked.append(outcome)
        groups = maker.groups_of(row)
        if isinstance(groups, Problem):
            self._forget_ids(checked)
            self._refuse(place, groups)
            return
        for each in checked:
            self._add(each, place)
        if groups:
            self._add_to_groups(groups, row, place=place, has_event=bool(checked))
        elif checked:
            self.rows.taken += 1
        else:
            self.rows.without_event += 1

    def _checked(self, event: Made, place: int) -> Checked | Problem:
        if self.definition.source is not None:
            event["source"] = self.definition.source
        has_own_id = event.get("id") is not None
        if not has_own_id:
            event["id"] = self._id_of(event)
        raw = event_bytes(event)
        accepted, problem = self.strict.judged(raw)
        if problem is not None:
            return problem
        if accepted is None:
            return Problem("unreadable", "is no event")
        try:
            self._database.execute("insert into ids values (?, ?, ?)", (event.get("source") or "", accepted.id, place))
        except sqlite3.IntegrityError:
            if Kind.COPY not in self.tolerated:
                return self._copy(event, accepted.id)
        return Checked(event, raw, accepted, has_own_id)

    def _copy(self, event: Made, event_id: str) -> Problem:
        key = (event.get("source") or "", event_id)
        (place,) = self._database.execute("select place from ids where source = ? and id = ?", key).fetchone()
        advice = "make it differ, e.g. id: '{order}-paid', or sum up rows of one thing with group:"
        if event["name"] == AD_SPEND:
            advice = "name the column in which the rows differ with --map NAME=COLUMN, or add them up with --sum"
        said = f"the id {event_id!r} is that of {self._shown(place)} already, and would be counted once"
        return Problem(Kind.COPY, f"{said}; {advice}")

    def _forget_ids(self, checked: Sequence[Checked]) -> None:
        for each in checked:
            key = (each.event.get("source") or "", each.accepted.id)
            self._database.execute("delete from ids where source = ? and id = ?", key)

    def _id_of(self, event: Made) -> str:
        """Of its content, and of how often that content came before."""
        digest = hashlib.sha256(event_bytes({**event, "id": None})).digest()[:16]
        query = "insert into contents values (?, 1) on conflict do update set count = count + 1 returning count"
        (count,) = self._database.execute(query, (digest,)).fetchone()
        return f"f-{digest.hex()}-{count}"

    def _add(self, checked: Checked, place: int) -> None:
        self._sorter.add(checked.event["occurred_at_ms"], place, event=checked.raw)
        if self.watcher is not None:
            self.watcher.add(checked.event, checked.accepted, has_own_id=checked.has_own_id)

    def _add_to_groups(self, groups: list[tuple[int, str]], row: Cells, *, place: int, has_event: bool) -> None:
        """What becomes of the row is known when its groups are."""
        cells = orjson.dumps({name: row.get(name) for name in row.cells}, default=str, option=orjson.OPT_NON_STR_KEYS)
        for rule, key in groups:
            self._database.execute("insert into groups values (?, ?, ?, ?)", (rule, key, place, cells))
        self._database.execute("insert into grouped values (?, ?)", (place, has_event))

    def _take_groups(self, maker: Maker) -> None:
        """The events of groups, when every row was read."""
        grouped = self._database.execute("select rule, key, place, cells from groups order by rule, key, rowid")
        for (rule, _), members in itertools.groupby(grouped, key=lambda row: row[:2]):
            rows = [(place, None if cells is None else msgspec.json.decode(cells)) for _, _, place, cells in members]
            self._take_group(maker, rule, group=rows)
        for place, has_event in self._database.execute("select place, has_event from grouped"):
            if place not in self._refused:
                self.rows.taken += bool(has_event)
                self.rows.without_event += not has_event
        self._database.execute("delete from groups")
        self._database.execute("delete from grouped")

    def _take_group(self, maker: Maker, rule: int, *, group: list[tuple[int, dict[str, Any] | None]]) -> None:
        rows = [Cells(_line(place), cells) for place, cells in group if cells is not None]
        first, places = group[0][0], [place for place, _ in group]
        missing = next((place for place, cells in group if cells is None), None)
        outcome: Checked | Made | Problem | None
        if missing is not None:
            outcome = Problem("incomplete_group", f"{self._shown(missing)} belongs to it, and is refused")
        else:
            outcome = maker.event_of_group(rule, rows)
        if isinstance(outcome, dict):
            outcome = self._checked(outcome, first)
        if isinstance(outcome, Problem):
            for place in places:
                self._refuse(place, outcome)
        elif outcome is not None:
            self._add(outcome, first)
            self._database.executemany("update grouped set has_event = 1 where place = ?", [(each,) for each in places])
            self._database.executemany("insert into members values (?, ?)", [(first, each) for each in places[1:]])

    def _refuse_row(self, maker: Maker, row: Cells, *, place: int, problem: Problem) -> None:
        """And what other rows make together with it: a sum without it would be wrong."""
        self._refuse(place, problem)
        groups = maker.groups_of(row)
        for rule, key in groups if isinstance(groups, list) else ():
            self._database.execute("insert into groups values (?, ?, ?, null)", (rule, key, place))

    def _refuse(self, place: int, problem: Problem) -> None:
        if place not in self._refused:
            self._refused.add(place)
            self.rows.refused += 1
            self._say(place, problem)

    def _say(self, place: int, problem: Problem) -> None:
        name = self.files[place >> _LINE_BITS]
        self.on_refused(Refused(_line(place), problem.reason, problem.detail, name))

    def _shown(self, place: int) -> str:
        return f"{Path(self.files[place >> _LINE_BITS]).name}:{_line(place)}"
