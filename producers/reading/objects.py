"""JSON: an object a line, or an array of objects; each as it was written, with its line or number. Decides nothing.

DuckDB takes an array apart without holding it: the texts of its elements come out unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from producers.reading.clear import ClearFile
from producers.reading.duck import duckdb
from schemas.errors import InputFileError

_AT_ONCE: Final = 1_000


class Element(NamedTuple):
    """One line of JSONL or one element of an array."""

    line: int
    """Of the file, or the number of the element."""
    text: bytes


def is_array(clear: ClearFile) -> bool:
    """Whether the file is one JSON array."""
    return not clear.is_binary and clear.head(512).lstrip()[:1] == b"["


def read_elements(clear: ClearFile) -> Iterator[Element]:
    """Every element; blank lines aside. Raises InputFileError where an array is cut off."""
    if is_array(clear):
        yield from _of_array(clear)
        return
    for number, line in enumerate(clear.rewound(), 1):
        if text := line.strip():
            yield Element(number, text)


def _of_array(clear: ClearFile) -> Iterator[Element]:
    number = 0
    with duckdb(clear) as (connection, path, failure):
        query = "select json from read_json_objects(?, format='array', maximum_object_size=16777216)"
        try:
            result: Any = connection.execute(query, [path])
            while rows := result.fetchmany(_AT_ONCE):
                for (text,) in rows:
                    number += 1
                    yield Element(number, text.encode())
        except failure as error:
            said = str(error).splitlines()[0]
            raise InputFileError(f"{clear.name}: is no JSON array behind element {number}: {said}") from None
