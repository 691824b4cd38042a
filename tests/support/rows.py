"""One test over a table: `@rows` in place of `@pytest.mark.parametrize`, where many rows show one fact.

A test costs pytest two milliseconds beside what it does, and most rows cost less than that. All rows run in one test
and share its fixtures; a fixture with a method `renew` is made new for each row. What fails names its row, and several
rows that fail are told together. `ROWS=text` takes the rows alone whose name contains the text.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

Test = Callable[..., Any]
Row = tuple[str, dict[str, Any]]
"""Its name and its arguments."""


def rows(names: str | Sequence[str], table: Iterable[Any], *, ids: Any = None) -> Callable[[Test], Test]:
    """Run a test for each row of a table, with the arguments of pytest's parametrize."""
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    table = list(table)
    assert table, "a table without rows tests nothing"
    given = [None] * len(table) if ids is None or callable(ids) else list(ids)
    named = [_row(arguments, line, ids if callable(ids) else name) for line, name in zip(table, given, strict=True)]
    wanted = [row for row in named if os.environ.get("ROWS", "") in row[0]]
    return lambda test: _over(test, arguments, wanted)


def _row(arguments: list[str], line: Any, name: Any) -> Row:
    marks, values = getattr(line, "marks", ()), getattr(line, "values", line)
    assert not marks, "a row has no marks: write a test of its own"
    values = list(values) if hasattr(line, "marks") or len(arguments) > 1 else [line]
    if callable(name):
        name = "-".join(str(name(value)) for value in values)
    name = getattr(line, "id", None) or name
    text = "-".join(_text(value) for value in values) if name is None else str(name)
    return text, dict(zip(arguments, values, strict=True))


def _text(value: object) -> str:
    text = value if isinstance(value, str) else getattr(value, "__name__", repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


class _Run:
    """The rows of one test under way."""

    def __init__(self, fixtures: Iterable[Any]) -> None:
        self._fixtures = [fixture for fixture in fixtures if hasattr(fixture, "renew")]
        self._errors: list[BaseException] = []
        self._is_first = True

    @contextmanager
    def row(self, name: str) -> Iterator[None]:
        """Around the test of one row."""
        for fixture in [] if self._is_first else self._fixtures:
            fixture.renew()
        self._is_first = False
        try:
            yield
        except pytest.skip.Exception:
            raise AssertionError(f"the row [{name}] skips all rows after it: return instead") from None
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - raised again at the end
            error.add_note(f"in the row [{name}]")
            self._errors.append(error)

    def end(self) -> None:
        """Fail as the one row did that failed, or as all that did."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise BaseExceptionGroup(f"{len(self._errors)} rows", self._errors)


def _over(test: Test, arguments: list[str], table: list[Row]) -> Test:
    async def each_async(*args: Any, **fixtures: Any) -> None:
        run = _Run(fixtures.values())
        for name, row in table:
            with run.row(name):
                await test(*args, **fixtures, **row)
        run.end()

    def each(*args: Any, **fixtures: Any) -> None:
        run = _Run(fixtures.values())
        for name, row in table:
            with run.row(name):
                test(*args, **fixtures, **row)
        run.end()

    wrapper = functools.wraps(test)(each_async if inspect.iscoroutinefunction(test) else each)
    signature = inspect.signature(test)
    fixtures = [parameter for parameter in signature.parameters.values() if parameter.name not in arguments]
    wrapper.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
    return wrapper
