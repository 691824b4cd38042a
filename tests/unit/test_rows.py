"""The tests' own tables: every row runs, and what fails says where."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from tests.support.rows import rows


def test_all_rows_run_and_those_that_fail_are_named() -> None:
    run = []

    @rows("number, text", [(1, "a"), pytest.param(2, "b", id="two"), (3, "c")])
    def test(number: int, text: str) -> None:
        run.append(text)
        assert number == 1

    with pytest.raises(BaseExceptionGroup, match="2 rows") as failed:
        test()
    assert run == ["a", "b", "c"]
    assert [error.__notes__ for error in failed.value.exceptions] == [["in the row [two]"], ["in the row [3-c]"]]


def test_tables_multiply_and_leave_the_fixtures() -> None:
    run = []

    @rows("left", [1, 2])
    @rows("right", "ab")
    async def test(fixture: str, left: int, right: str) -> None:
        run.append((fixture, left, right))

    assert list(inspect.signature(test).parameters) == ["fixture"]
    asyncio.run(test(fixture="f"))
    assert run == [("f", 1, "a"), ("f", 1, "b"), ("f", 2, "a"), ("f", 2, "b")]


def test_a_fixture_that_can_is_made_new_for_each_row() -> None:
    class Log(list[int]):
        renew = list.clear

    @rows("number", [1, 2])
    def test(log: Log, number: int) -> None:
        log.append(number)
        assert log == [number]

    test(log=Log())


def test_a_row_skips_no_other_row() -> None:
    @rows("number", [1, 2])
    def test(number: int) -> None:
        pytest.skip()

    with pytest.raises(AssertionError, match="skips all rows after it"):
        test()
