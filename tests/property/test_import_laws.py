"""Laws of importing: whatever a cell holds, nothing raises and every row is counted once."""

from __future__ import annotations

import contextlib
import csv
import io
import tempfile
from pathlib import Path
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from funnelcast.fuzz.files import fault_of, wide_file
from producers.importer.definition import Shape
from producers.importer.problems import Kind
from schemas.errors import InputFileError
from tests.support.imports import imported
from tests.support.noise import VALUES, json_of, members
from tests.support.thorough import cases

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
CELL = TEXT | st.sampled_from(
    ["", " ", "1e999", "9" * 60, "-0", "NaN", "2025-01-01", "01/02/2025", "12:00", '"', "\n", "\r", "\x00", "{}", "1,5"]
)
TABLE = st.lists(st.lists(CELL, max_size=7), max_size=8)
RULES = """
inputs: [{file: f.csv, times: {a: {order: dmy, unit: s}}, empty: ["-"]}]
events:
  - {name: "{e}", at: a, when: {b: {ne: "x"}}, id: "{c}-{d}", user_id: b, value: d * 2, properties: {p: e}}
  - {name: payment, at: a, group: [c], user_id: c, value: sum(d), negative: refund}
"""


@settings(max_examples=cases(100), deadline=None)
@given(rows=TABLE, delimiter=st.sampled_from(",;\t|"), tolerates=st.booleans())
def test_any_cells_are_read_and_every_row_is_counted_once(
    rows: list[list[str]], delimiter: str, tolerates: bool
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([["a", "b", "c", "d", "e"], *rows])
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "f.csv").write_bytes(text.getvalue().encode())
        result = imported(
            RULES.replace("f.csv", f"f.csv, delimiter: {delimiter!r}"), Path(directory), *_kinds(tolerates)
        )
    assert result.rows.read == sum(any(map(str.strip, row)) for row in rows)
    lines = [each.line for each in result.refused]
    assert len(lines) == len(set(lines)) == result.rows.refused


@settings(max_examples=cases(100), deadline=None)
@given(content=st.binary(max_size=200) | TEXT.map(str.encode))
def test_any_bytes_are_a_file_or_an_error_that_says_so(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "f.csv").write_bytes(b"a,b,c,d,e\n" + content)
        with contextlib.suppress(InputFileError):  # the helper asserts that rows are counted once
            result = imported(RULES, Path(directory))
            assert len(result.refused) == result.rows.refused


@settings(max_examples=cases(100), deadline=None)
@given(number=st.integers(0, 1_000_000))
def test_wide_files_with_wrong_cells_lose_exactly_those_rows(number: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        assert fault_of(wide_file(1, number), Path(directory)) is None


SHAPED = members(
    "id",
    "object",
    "created",
    "status",
    "livemode",
    "refunds",
    "line_items",
    "properties",
    "event",
    "timestamp",
    "type",
    "messageId",
    "event_params",
    "event_timestamp",
    "ecommerce",
    "items",
    "schema",
    "data",
    "results",
    "orders",
    "email",
    "processed_at",
    "add_time",
    "distinct_id",
    "associations",
    "currency",
    "amount_captured",
    "collected_traffic_source",
)


@settings(max_examples=cases(200, few=20), deadline=None)
@given(shape=st.sampled_from(get_args(Shape)), elements=st.lists(SHAPED | VALUES, max_size=4))
def test_any_json_in_any_shape_is_counted_once(shape: str, elements: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "f.jsonl").write_bytes(b"\n".join(map(json_of, elements)))
        with contextlib.suppress(InputFileError):  # the first element decides what kind of file it is
            result = imported(f"inputs: [{{file: f.jsonl, format: json, shape: {shape}}}]", Path(directory))
            assert len(result.refused) == result.rows.refused


def _kinds(tolerates: bool) -> list[Kind]:
    return list(Kind) if tolerates else []
