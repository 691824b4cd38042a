"""Arithmetic over columns: `quantity * price`, `sum("Lineitem quantity" * "Lineitem price")`. Pure; exact decimals.

Python's own parser reads it; of the tree only numbers, names, `+ - * /` and four functions are taken. `sum`, `min`,
`max` go over the rows of a group, or over the elements of lists.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from schemas.errors import InputFileError

Number = Callable[[str, Any], Decimal | list[Decimal | None] | None]
"""(column, row) -> its number, None where the cell is empty, a list where a path leads through one. May raise."""
_OPERATORS: Final[dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: Final[dict[str, Callable[[list[Decimal]], Decimal]]] = {
    "sum": lambda values: sum(values, Decimal(0)),
    "min": min,
    "max": max,
    "count": lambda values: Decimal(len(values)),
}
_LOOKS_LIKE: Final = frozenset("*/+(")


class Expression:
    """A formula; `columns` are those it reads."""

    def __init__(self, text: str) -> None:
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
            self.columns = tuple(dict.fromkeys(_columns(self._tree, is_inside=False)))
        except (SyntaxError, ValueError, RecursionError) as error:
            raise InputFileError(
                f"{text!r} is no formula: {error}; write e.g. sum(quantity * price), and columns with blanks in quotes"
            ) from None

    def value(self, rows: Sequence[Any], number: Number) -> Decimal | None:
        """Over the rows of a group; outside of functions the first row counts. None where a cell it needs is empty."""
        return self._value(self._tree, rows, number=number)

    def _value(self, node: ast.expr, rows: Sequence[Any], *, number: Number) -> Decimal | None:
        match node:
            case ast.Constant(value=int() | float() as plain):
                return Decimal(str(plain))
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                value = self._value(inner, rows, number=number)
                return None if value is None else -value
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self._value(left, rows, number=number), self._value(right, rows, number=number)
                return None if a is None or b is None else _OPERATORS[type(op)](a, b)
            case ast.Call(func=ast.Name(id=name), args=args):
                values = [value for row in rows for value in self._each(args[0], row, number=number)]
                return _FUNCTIONS[name](values) if values else None
        value_of_column = number(_column(node), rows[0])
        if isinstance(value_of_column, list):
            raise ValueError(f"{_column(node)} is a list: take its sum")
        return value_of_column

    def _each(self, node: ast.expr, row: Any, *, number: Number) -> list[Decimal]:
        """The values of an argument in one row: one, or one of each element of its lists."""
        numbers = {name: number(name, row) for name in _columns(node, is_inside=True)}
        lists = [value for value in numbers.values() if isinstance(value, list)]
        if not lists:
            value = self._value(node, [row], number=lambda name, _: numbers[name])
            return [] if value is None else [value]
        values = []
        for index in range(max(map(len, lists))):
            single = {name: value[index] if isinstance(value, list) else value for name, value in numbers.items()}
            value = self._value(node, [row], number=_reader(single))
            values += [] if value is None else [value]
        return values


def _reader(numbers: Mapping[str, Decimal | None]) -> Number:
    return lambda name, row: numbers[name]


def is_formula(text: str) -> bool:
    """Whether a text that is no column can be one."""
    return bool(_LOOKS_LIKE & set(text))


def _column(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Constant(value=str() as name):
            return name
        case ast.Attribute(value=inner, attr=name):
            return f"{_column(inner)}.{name}"
    raise ValueError(f"{ast.unparse(node)} may not stand in it")


def _columns(node: ast.expr, *, is_inside: bool) -> list[str]:
    """Raises ValueError for what is no formula."""
    match node:
        case ast.Constant(value=int() | float()):
            return []
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return _columns(inner, is_inside=is_inside)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _columns(left, is_inside=is_inside) + _columns(right, is_inside=is_inside)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS and not is_inside:
            return _columns(argument, is_inside=True)
    return [_column(node)]
