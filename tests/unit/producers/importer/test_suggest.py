"""A suggested import file: what is recognised, what is asked, and that it runs once the questions are answered."""

from __future__ import annotations

import bz2
import json
from pathlib import Path

import pytest

from producers.importer.suggest import suggested
from schemas.errors import InputFileError
from tests.support.imports import imported
from tests.support.rows import rows

EXPORTS = Path(__file__).parents[3] / "support" / "exports"


def answered(text: str, *answers: str) -> str:
    """The text with its questions answered in their order."""
    for answer in answers:
        before, _, after = text.partition('"??? ')
        text = before + answer + after.partition('"')[2]
    assert '"???' not in text
    return text


def test_a_wide_table_is_an_event_for_each_of_its_times() -> None:
    text = suggested(EXPORTS / "pipedrive-deals.csv")
    with pytest.raises(InputFileError, match=r"events\[2\].name: is a question .*what happened at Deal - Lost time"):
        imported(text, EXPORTS)
    result = imported(answered(text, "lead_created", "payment", "deal_lost"), EXPORTS)
    assert result.refused == []
    assert [each["name"] for each in result.events] == ["lead_created"] * 3 + ["deal_lost", "payment"]
    payment = result.events[-1]["properties"]
    assert payment == {"deal_id": "77", "currency": "EUR", "manager": "Ann Smith", "value": "1200.50"}


def test_marks_encodings_and_the_order_of_days_are_found_where_the_cells_show_them() -> None:
    text = suggested(EXPORTS / "amocrm-deals.csv")
    result = imported(answered(text, "lead_created", "RUB", "closed", "RUB"), EXPORTS)
    assert result.refused == []
    assert result.brief()[0] == ("lead_created", "1001-дата-создания-сделки", "150000.00")


def test_what_can_be_read_in_two_ways_is_a_question(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text('id,customer,day,amount\n1,a,03.02.2025,"1,234"\n2,b,05.06.2025,"5,678"\n')
    text = suggested(tmp_path / "f.csv")
    questions = [line.strip() for line in text.splitlines() if '"???' in line]
    assert questions == [
        'decimal: "??? the mark before the decimals, . or , : how much is 1,234?"',
        'day: {order: "??? dmy or mdy: which number of 03.02.2025 is the day?"}',
        '- name: "??? what a row is, e.g. lead_created, payment, deal_lost"',
        'currency: {text: "??? which currency, e.g. EUR"}',
    ]
    result = imported(answered(text, '","', "dmy", "payment", "EUR"), tmp_path)
    assert result.brief() == [("payment", "1", "1.234"), ("payment", "2", "5.678")]


def test_what_stands_above_below_and_within_a_report_is_no_row(tmp_path: Path) -> None:
    """A title, a heading of two lines, amounts by their cents, a total at the end, in a packed file."""
    title = "Umsatz März;;;\n\n"
    orders = "".join(f"{1000 + n};K{n % 3};1{n}.03.2025;1.0{n}0,50\n" for n in range(5))
    text = f"{title}Nr;Kunde;Datum;Brutto\nTEXT;ID;TAG;EUR\n{orders}Summe;;;5.102,50\n"
    (tmp_path / "f.csv.bz2").write_bytes(bz2.compress(text.encode("cp1252")))
    suggestion = suggested(tmp_path / "f.csv.bz2")
    assert "# line 10 looks like a total" in suggestion
    result = imported(answered(suggestion, "payment", "EUR"), tmp_path)
    assert result.refused == []
    assert [(who["user_id"], who["properties"]["value"]) for who in result.events] == [
        (f"K{n % 3}", f"10{n}0.50") for n in range(5)
    ]


def test_a_table_without_a_heading_loses_no_row(tmp_path: Path) -> None:
    """A time where all others have one is no heading; columns of a pivot table that are called after days are."""
    (tmp_path / "f.tsv").write_text("u1\tbuy\t2025-01-03 10:00\t19.99\nu2\tbuy\t2025-01-04 11:00\t5.00\n")
    result = imported(answered(suggested(tmp_path / "f.tsv"), "payment", "column_1", "EUR"), tmp_path)
    assert [(each["user_id"], each["properties"]["value"]) for each in result.events] == [
        ("u1", "19.99"),
        ("u2", "5.00"),
    ]
    (tmp_path / "g.csv").write_text("1,2268318,pv,1511544070\n1,2333346,pv,1511561733\n")
    result = imported(answered(suggested(tmp_path / "g.csv"), "click", "column_1"), tmp_path)
    assert [each["occurred_at_ms"] for each in result.events] == [1_511_544_070_000, 1_511_561_733_000]
    (tmp_path / "h.csv").write_text("Product,2023-01-01,2023-02-01\nA,5,6\nB,7,8\n")
    assert "heading" not in suggested(tmp_path / "h.csv")


def test_a_title_above_rows_without_a_heading_is_no_row_and_a_sparse_first_row_is_one(tmp_path: Path) -> None:
    bought = "u1,2025-01-03 10:00,19.99,a\nu2,2025-01-04 11:00,5.00,b\n"
    for above, users in (
        ("Report of January\n\n", []),
        ("Shop\nReport of January\n", []),
        ("u0,2025-01-02,,\n", ["u0"]),
    ):
        (tmp_path / "f.csv").write_text(above + bought)
        text = suggested(tmp_path / "f.csv")
        assert "call them what they are" in text
        result = imported(answered(text, "payment", "column_1", "EUR"), tmp_path)
        assert result.refused == []
        assert [each["user_id"] for each in result.events] == [*users, "u1", "u2"]


def test_words_above_numbers_are_a_heading_though_a_day_stands_above_days(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("Product,2023-01-01,Units\nA,2023-01-05,5\nB,2023-01-07,7\n")
    assert "column_1" not in suggested(tmp_path / "f.csv")
    (tmp_path / "g.csv").write_text("ann@a.de,2023-01-01,5\nbob2@a.de,2023-01-05,6\n")
    assert "column_1" in suggested(tmp_path / "g.csv")


def test_ids_with_as_many_digits_as_a_time_are_ids(tmp_path: Path) -> None:
    for digits in (10, 13, 16):
        orders = (
            f"{122 * 10 ** (digits - 3) + n},{171 * 10 ** (digits - 3) + n},2025-01-0{n},5.00\n" for n in (1, 2, 3)
        )
        (tmp_path / "f.csv").write_text("order_id,customer_id,date,total\n" + "".join(orders))
        result = imported(answered(suggested(tmp_path / "f.csv"), "payment", "EUR"), tmp_path)
        assert [(each["user_id"], each["properties"]["order_id"]) for each in result.events] == [
            (f"{171 * 10 ** (digits - 3) + n}", f"{122 * 10 ** (digits - 3) + n}") for n in (1, 2, 3)
        ]


def test_the_list_of_a_document_and_members_of_objects_are_found(tmp_path: Path) -> None:
    orders = [{"id": n, "who": {"id": f"u{n}"}, "at": f"2025-01-0{n}", "total": 1.5, "x": float("nan")} for n in (1, 2)]
    (tmp_path / "f.json").write_text(json.dumps({"ok": True, "data": {"tags": [{"a": 1}], "orders": orders}}, indent=1))
    result = imported(answered(suggested(tmp_path / "f.json"), "payment", "EUR"), tmp_path)
    assert result.refused == []
    assert [(each["user_id"], each["properties"]["value"]) for each in result.events] == [("u1", "1.5"), ("u2", "1.5")]


@rows(
    ("start", "says"),
    [(b"%PDF-1.4\n", "is a PDF"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"\x28\xb5\x2f\xfd", "zstd -d")],
)
def test_what_is_no_table_is_called_by_its_name(tmp_path: Path, start: bytes, says: str) -> None:
    (tmp_path / "f.csv").write_bytes(start + bytes(100))
    with pytest.raises(InputFileError, match=says):
        suggested(tmp_path / "f.csv")


@pytest.mark.parametrize("name", sorted(path.name for path in EXPORTS.iterdir()))
def test_every_export_gets_a_file_that_only_asks_or_is_known(name: str) -> None:
    text = suggested(EXPORTS / name)
    if "shape:" in text:
        assert imported(text, EXPORTS).events
        return
    with pytest.raises(InputFileError) as raised:
        imported(text, EXPORTS)
    assert all("is a question (???)" in line for line in str(raised.value).splitlines())
