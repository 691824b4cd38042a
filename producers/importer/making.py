"""From rows to native events, by the rules of an import file. Pure. What cannot be read is a problem of its row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final

import orjson

from producers.importer.amounts import Marks, NoNumberError
from producers.importer.columns import Getter, Row, getter, merged, resolved
from producers.importer.dates import NoTimeError, TimeReader
from producers.importer.definition import AD_SPEND, AMOUNTS, PERSONS, PROPERTIES, Constant, EventRule, Input
from producers.importer.expressions import Expression, is_formula
from producers.importer.problems import Kind, Problem
from producers.importer.strict import DAMAGED_ID
from schemas.conditions import holds
from schemas.errors import InputFileError
from schemas.funnel.rules import Condition

Made = dict[str, Any]
"""A native event, as values; without an id where the rule states none."""
_REFUND: Final = "refund"
_IDS: Final = frozenset({"id", "user_id", "contact_id", "anonymous_id", "order_id", "refund_id", "deal_id"})
_MONEY: Final = frozenset({*AMOUNTS, "value_minor"})


class _RefusedError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Amount:
    """A column or a formula."""

    column: str | None = None
    formula: Expression | None = None
    constant: Decimal | None = None


class RuleMaker:
    """Makes the events of one rule from the rows of one input. `columns` are known where the file has a heading.

    Raises InputFileError where the rule names a column that is not there.
    """

    def __init__(
        self,
        rule: EventRule,
        table: Input,
        *,
        columns: Sequence[str],
        zone: str,
        where: str,
        tolerated: frozenset[Kind] = frozenset(),
    ) -> None:
        self.rule = rule
        self._tolerates_amounts = Kind.AMOUNT in tolerated
        self._checks_ids = Kind.ID not in tolerated
        self._id_columns: dict[str, None] = {}
        self._columns, self._where = columns, where
        self._marks = Marks(table.decimal, table.thousands)
        name_of = self._column
        self._at = name_of(rule.at, "at")
        forms = {self._column(column, "times"): form for column, form in table.times.items() if self._has(column)}
        self._time = TimeReader(rule.at, forms.get(self._at), zone=zone)
        named = rule.name if "{" in rule.name else Constant(text=rule.name)
        self._name = getter(named, partial(name_of, key="name"))
        self._group = [name_of(column, "group") for column in rule.group]
        self._conditions = [(name_of(each.property, "when"), each) for each in rule.when]
        self._id = None if rule.id is None else self._getter("id")
        self._persons = [(key, self._getter(key)) for key in PERSONS if getattr(rule, key) is not None]
        self._properties = [(key, self._getter(key)) for key in PROPERTIES if getattr(rule, key) is not None]
        for key, source in rule.properties.items():
            self._properties.append((key, getter(source, partial(name_of, key=f"properties.{key}"))))
        self._amounts = [(key, self._amount(key)) for key in AMOUNTS if getattr(rule, key) is not None]

    def _has(self, name: str) -> bool:
        try:
            self._column(name, "times")
        except InputFileError:
            return False
        return True

    def _column(self, name: str, key: str) -> str:
        name = name.strip()
        return resolved(name, self._columns, where=f"{self._where}.{key}") if self._columns else name

    def _getter(self, key: str) -> Getter:
        def name_of(name: str) -> str:
            column = self._column(name, key)
            if key in _IDS:
                self._id_columns[column] = None
            return column

        return getter(getattr(self.rule, key), name_of)

    def _amount(self, key: str) -> _Amount:
        source = getattr(self.rule, key)
        if isinstance(source, Constant):
            try:
                return _Amount(constant=self._marks.read(source.text))
            except NoNumberError as error:
                raise InputFileError(f"{self._where}.{key}: {error}") from None
        if source not in self._columns and is_formula(source):
            formula = Expression(source)
            for column in formula.columns:
                self._column(column, key)
            return _Amount(formula=formula)
        return _Amount(column=self._column(source, key))

    def may_hold(self, row: Row) -> bool:
        """Whether a row of a group can be part of it: its filled cells meet the conditions."""
        values = ((row.get(column), condition) for column, condition in self._conditions)
        return all(value is None or _holds(condition, value) for value, condition in values)

    def key_of(self, row: Row) -> str | None:
        """What a row is grouped by; None where all of its cells are empty."""
        texts = [row.text(column) or "" for column in self._group]
        return "\0".join(texts) if any(texts) else None

    def rows_of(self, row: Row) -> list[Row]:
        """The row, or one for each element of the list that the rule goes over."""
        if self.rule.each is None:
            return [row]
        elements = row.get(self.rule.each)
        elements = elements if isinstance(elements, list) else []
        return [Row(row.line, _with(row.cells, self.rule.each.split("."), element=element)) for element in elements]

    def make(self, rows: Sequence[Row]) -> Made | Problem | None:
        """The event of a row or group; None where a condition does not hold."""
        row = merged(rows)
        if not all(_holds(condition, row.get(column)) for column, condition in self._conditions):
            return None
        if self.rule.refuse is not None:
            return Problem("refused", self.rule.refuse)
        try:
            return self._event_of(row, rows)
        except _RefusedError as refusal:
            return refusal.problem

    def _event_of(self, row: Row, rows: Sequence[Row]) -> Made:
        self._check_ids(row)
        event: Made = {"id": None if self._id is None else self._id(row), "name": self._name(row)}
        if self._id is not None and event["id"] is None:
            raise _RefusedError(Problem("missing_id", f"the cell of {self.rule.id!r} is empty"))
        if event["name"] is None:
            raise _RefusedError(Problem("missing_name", f"the cell of {self.rule.name!r} is empty"))
        event["occurred_at_ms"] = self._occurred_at(row)
        event |= {key: text for key, read in self._persons if (text := read(row)) is not None}
        properties = {key: text for key, read in self._properties if (text := read(row)) is not None}
        self._add_amounts(event, properties, row=row, rows=rows)
        event["properties"] = properties
        if event["name"] == AD_SPEND:
            self._complete_spend(event, properties)
        return event

    def _complete_spend(self, event: Made, properties: Made) -> None:
        """A statement is known by its day, channel, campaign, other dimensions and currency: the same one again, with
        another amount or not, has the same id."""
        if "value" not in properties and "value_minor" not in properties:
            raise _RefusedError(Problem(Kind.AMOUNT, f"the cell of {self.rule.value!r} is empty: nothing was spent?"))
        properties["day"] = self._time.day_of(event["occurred_at_ms"])
        if event["id"] is None:
            key = sorted((name, str(text).casefold()) for name, text in properties.items() if name not in _MONEY)
            event["id"] = f"spend-{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}"

    def _check_ids(self, row: Row) -> None:
        """Also within templates, where nobody would see it later."""
        for column in self._id_columns:
            text = row.text(column)
            if self._checks_ids and text is not None and DAMAGED_ID.fullmatch(text):
                said = f"{column} {text!r} is a number that a spreadsheet has rounded; export ids as text"
                raise _RefusedError(Problem(Kind.ID, said))

    def _occurred_at(self, row: Row) -> int:
        value = row.get(self._at)
        if value is None:
            when = f"when: {{{self.rule.at}: {{exists: true}}}} leaves such rows out"
            raise _RefusedError(Problem("invalid_time", f"the cell of {self.rule.at!r} is empty; {when}"))
        try:
            return self._time.read(value)
        except NoTimeError as error:
            raise _RefusedError(Problem("invalid_time", f"{self.rule.at}: {error}")) from None

    def _add_amounts(self, event: Made, properties: Made, *, row: Row, rows: Sequence[Row]) -> None:
        currency = properties.get("currency")
        for key, amount in self._amounts:
            number = self._number(key, amount, row=row, rows=rows, currency=currency)
            if number is None:
                continue
            if number < 0:
                if self.rule.negative == "refuse" or key != "value":
                    if self._tolerates_amounts:
                        continue
                    advice = "; negative: refund makes it one" if key == "value" else ""
                    raise _RefusedError(Problem(Kind.AMOUNT, f"{key} {number} is negative{advice}"))
                event["name"], number = _REFUND, -number
                properties.setdefault("refund_id", event["id"] or properties.get("order_id"))
            if self.rule.minor:
                properties["value_minor" if key == "value" else key] = _minor(key, number)
            else:
                properties[key] = format(number, "f")

    def _number(
        self, key: str, amount: _Amount, *, row: Row, rows: Sequence[Row], currency: str | None
    ) -> Decimal | None:
        try:
            if amount.formula is not None:
                return amount.formula.value(rows, partial(self._cell, currency=currency))
            if amount.constant is not None:
                return amount.constant
            value = row.get(str(amount.column))
            return None if value is None else self._marks.read(value, currency)
        except (NoNumberError, ArithmeticError, ValueError) as error:
            if self._tolerates_amounts:
                return None
            raise _RefusedError(Problem(Kind.AMOUNT, f"{key}: {error or 'the formula has no result'}")) from None

    def _cell(self, name: str, row: Row, *, currency: str | None) -> Decimal | list[Decimal | None] | None:
        value = row.get(resolved(name, self._columns, where=name) if self._columns else name)
        if isinstance(value, list):
            return [None if each in (None, "") else self._marks.read(each, currency) for each in _flat(value)]
        return None if value is None else self._marks.read(value, currency)


def _minor(key: str, number: Decimal) -> int:
    if key != "value" or number != number.to_integral_value():
        raise _RefusedError(Problem(Kind.AMOUNT, f"{key} {number} is no whole number of minor units"))
    return int(number)


def _holds(condition: Condition, value: object) -> bool:
    """As in a funnel; where a cell is a text and the condition says a number or true, their texts are compared."""
    operand = condition.operand
    if isinstance(value, str) and condition.op in ("eq", "ne", "in"):
        operand = tuple(map(_text, operand)) if isinstance(operand, tuple) else _text(operand)
    return holds(condition.op, operand, value)


def _text(operand: object) -> str:
    return ("true" if operand else "false") if isinstance(operand, bool) else str(operand)


def _with(cells: Made, path: list[str], *, element: object) -> Made:
    """The cells, with one element in the place of the list at `path`."""
    first, *deeper = path
    inner = cells.get(first)
    return {
        **cells,
        first: _with(inner if isinstance(inner, dict) else {}, deeper, element=element) if deeper else element,
    }


def _flat(values: list[Any]) -> list[Any]:
    return [each for value in values for each in (_flat(value) if isinstance(value, list) else [value])]


def event_bytes(event: Made) -> bytes:
    """As JSON."""
    return orjson.dumps({name: value for name, value in event.items() if value is not None})


class Rules:
    """The makers of one input."""

    def __init__(self, makers: Sequence[RuleMaker]) -> None:
        self._makers = makers

    def events_of(self, row: Row) -> list[Made | Problem]:
        """Of the rules that need no other row."""
        events = [maker.make([each]) for maker in self._makers if not maker.rule.group for each in maker.rows_of(row)]
        return [event for event in events if event is not None]

    def groups_of(self, row: Row) -> list[tuple[int, str]] | Problem:
        """(number of the rule, key) of the groups that the row belongs to."""
        groups = []
        for number, maker in enumerate(self._makers):
            if maker.rule.group and maker.may_hold(row):
                key = maker.key_of(row)
                if key is None:
                    return Problem("missing_group", f"the cell of {', '.join(maker.rule.group)} is empty")
                groups.append((number, key))
        return groups

    def event_of_group(self, number: int, rows: Sequence[Row]) -> Made | Problem | None:
        """The event of a whole group."""
        return self._makers[number].make(rows)
