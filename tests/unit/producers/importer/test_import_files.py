"""Import files: which events rows become, what is asked, what is refused by line."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import pytest

from producers.importer.problems import Kind
from producers.importer.spend import SpendTable, spend_definition
from schemas.errors import InputFileError
from tests.support.imports import Imported, imported
from tests.support.rows import rows
from tests.support.thorough import some

PAYMENT = """
inputs: [{file: f.csv}]
events: [{name: payment, at: date, id: id, user_id: user, value: amount}]
"""


def write(directory: Path, text: str, name: str = "f.csv", encoding: str = "utf-8") -> None:
    (directory / name).write_text(text, encoding=encoding)


class TestRows:
    def test_a_wide_row_is_several_events_by_time_over_all_inputs(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            "id,created,won,lost,worth\n1,2025-01-01,2025-03-01,,10\n2,2025-02-01,,2025-02-02,20\n",
            "deals.csv",
        )
        write(tmp_path, "who,day\n1,2025-02-15\n", "calls.csv")
        result = imported(
            """
            inputs: [{name: deals, file: deals.csv}, {name: calls, file: calls.csv}]
            events:
              - {input: deals, name: deal_created, at: created, id: "{id}-created", contact_id: id}
              - {input: deals, name: payment, at: won, when: {won: {exists: true}}, id: "{id}-won", contact_id: id}
              - {input: deals, name: deal_lost, at: lost, when: {lost: {exists: true}}, id: "{id}-lost", contact_id: id}
              - {input: calls, name: call, at: day, contact_id: who}
            """,
            tmp_path,
        )
        assert [each["name"] for each in result.events] == [
            "deal_created",
            "deal_created",
            "deal_lost",
            "call",
            "payment",
        ]
        assert (result.rows.read, result.rows.taken) == (3, 3)

    def test_lines_of_an_order_are_summed_up_and_negative_ones_are_a_refund(self, tmp_path: Path) -> None:
        write(tmp_path, "no,who,at,n,price\na,u,2025-01-01,2,1.10\nb,u,2025-01-02,-1,5\na,,,3,0.35\n")
        result = imported(
            """
            inputs: [{file: f.csv}]
            events:
              - {name: payment, group: no, at: at, id: no, user_id: who, value: sum(n * price), negative: refund}
            """,
            tmp_path,
        )
        assert result.brief() == [("payment", "a", "3.25"), ("refund", "b", "5")]
        assert result.rows.taken == 3

    def test_a_second_table_is_joined_loosely_and_a_row_without_a_match_is_told(self, tmp_path: Path) -> None:
        write(tmp_path, "id,at,product\n1,2025-01-01,GTXPro\n2,2025-01-01,None such\n")
        write(tmp_path, "name,price\nGTX Pro,4.50\n", "p.csv")
        text = """
            inputs: [{file: f.csv, join: [{as: p, file: p.csv, on: product, key: name, match: loose}]}]
            events: [{name: payment, at: at, id: id, user_id: id, value: p.price}]
        """
        result = imported(text, tmp_path)
        assert result.brief() == [("payment", "1", "4.50")]
        assert result.said == [(3, "join")]
        assert imported(text, tmp_path, Kind.JOIN).rows.taken == 2

    def test_elements_of_lists_and_sums_over_them(self, tmp_path: Path) -> None:
        (tmp_path / "o.json").write_text(
            '{"orders": [\n {"id": 7, "at": "2025-01-01T10:00:00Z", "items": [{"n": 2, "p": "1.10"}, {"n": 1, "p": 3}],'
            '  "refunds": [{"id": 1, "at": "2025-01-02", "sum": 1.5}, {"id": 2, "at": "2025-01-03", "sum": 2}]}]}'
        )
        result = imported(
            """
            inputs: [{file: o.json, rows: orders}]
            events:
              - {name: payment, at: at, id: id, user_id: id, value: sum(items.n * items.p)}
              - {name: refund, each: refunds, at: refunds.at, id: "r{refunds.id}", user_id: id, value: refunds.sum}
            """,
            tmp_path,
        )
        assert result.brief() == [("payment", "7", "5.20"), ("refund", "r1", "1.5"), ("refund", "r2", "2")]

    def test_one_id_twice_is_told_and_rows_without_an_id_are_each_their_own(self, tmp_path: Path) -> None:
        write(tmp_path, "id,date,user,amount\n1,2025-01-01,u,1\n1,2025-01-02,u,2\n")
        result = imported(PAYMENT, tmp_path)
        assert result.said == [(3, "copy")]
        assert "f.csv:2" in result.refused[0].detail
        without = PAYMENT.replace("id: id, ", "")
        write(tmp_path, "id,date,user,amount\n1,2025-01-01,u,1\n1,2025-01-01,u,1\n")
        twice = imported(without, tmp_path)
        assert len({each["id"] for each in twice.events}) == 2
        assert twice.events == imported(without, tmp_path).events

    def test_what_is_refused_takes_the_whole_row(self, tmp_path: Path) -> None:
        write(tmp_path, "id,a,b\n1,2025-01-01,soon\n2,2025-01-01,2025-01-02\n3,,\n4,x,y,z\n")
        text = """
            inputs: [{file: f.csv}]
            events:
              - {name: lead, at: a, when: {a: {exists: true}}, id: "{id}-a", user_id: id}
              - {name: payment, at: b, when: {b: {exists: true}}, id: "{id}-b", user_id: id}
        """
        result = imported(text, tmp_path)
        assert [each["id"] for each in result.events] == ["2-a", "2-b"]
        assert result.said == [(2, "invalid_time"), (5, "cells")]
        assert (result.rows.read, result.rows.taken, result.rows.refused, result.rows.without_event) == (4, 1, 2, 1)

    def test_names_that_no_funnel_looks_at_and_empty_times(self, tmp_path: Path) -> None:
        write(tmp_path, "id,date,user,amount\n1,,u,1\n2,2025-01-01,u,1\n")
        result = imported(PAYMENT, tmp_path, known_names={"lead"})
        assert result.said == [(2, "invalid_time"), (3, "name")]


class TestFiles:
    @pytest.mark.parametrize("kind", ["csv", "gzip", "zip", "xlsx", "parquet", "array", "jsonl"])
    def test_the_same_rows_in_any_kind_of_file(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "f.any"
        table = "id;when;sum\n1;2025-01-01 10:00:00;19,90\n"
        if kind == "csv":
            path.write_text(table)
        elif kind == "gzip":
            path.write_bytes(gzip.compress(table.encode("utf-16")))
        elif kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("export/orders.csv", table)
        elif kind == "array":
            path.write_text('[{"id": 1, "when": "2025-01-01 10:00:00", "sum": "19,90"}]')
        elif kind == "jsonl":
            path.write_text('\n{"id": 1, "when": "2025-01-01 10:00:00", "sum": "19,90"}\n')
        elif kind == "parquet":
            import duckdb

            query = "select 1 as id, timestamp '2025-01-01 10:00:00' as \"when\", 19.90::decimal(9,2) as sum"
            duckdb.connect().execute(f"copy ({query}) to '{path}' (format parquet)")
        else:
            write_xlsx(path, ("id", "when", "sum"), (1, 45658 + 10 / 24, 19.9))
        result = imported(
            """
            inputs: [{file: f.any, decimal: ",", times: {when: {unit: excel, timezone: Europe/Athens}}}]
            events: [{name: payment, at: when, id: id, user_id: id, value: sum}]
            """,
            tmp_path,
        )
        (event,) = result.events
        assert (event["id"], event["occurred_at_ms"]) == ("1", 1_735_718_400_000)
        assert event["properties"]["value"] in ("19.90", "19.9")

    def test_no_heading_and_lines_above_it(self, tmp_path: Path) -> None:
        write(tmp_path, "Report of May\n\nid,date,user,amount\n1,2025-01-01,u,5\n")
        assert imported(PAYMENT.replace("f.csv", "f.csv, heading: 3"), tmp_path).brief() == [("payment", "1", "5")]
        write(tmp_path, "1\t2025-01-01\tu\t5\n")
        bare = PAYMENT.replace("f.csv", "f.csv, heading: false, columns: [id, date, user, amount]")
        assert imported(bare, tmp_path).brief() == [("payment", "1", "5")]

    def test_the_delimiter_is_the_one_by_which_rows_are_as_wide_as_each_other(self, tmp_path: Path) -> None:
        """Commas within names or amounts are none; a row with cells too many is refused alone."""
        rules = "inputs: [{file: f.csv}]\nevents: [{name: call, at: date, user_id: NAME}]"
        for text, refused in (
            ("user, Nr;date\nMueller, Hans, 1;2025-01-01\n", []),
            ("user;date;amount\nu;2025-01-01;5,5\nu;2025-01-02;5,5\nu;2025-01-03;5,5;x\n", [4]),
            ("user,date,amount\nu|a,2025-01-01,5\nu|b,2025-01-02,5\nu|c,2025-01-03,5,x\n", [4]),
        ):
            write(tmp_path, text)
            name = "'user, Nr'" if "Nr" in text else "user"
            result = imported(rules.replace("NAME", name), tmp_path)
            assert [line for line, _ in result.said] == refused
            assert len(result.events) == text.count("\n") - 1 - len(refused)

    def test_another_encoding_is_found_and_said(self, tmp_path: Path) -> None:
        write(tmp_path, "id,date,user,amount\n1,2025-01-01,Иванов Пётр,5\n", encoding="cp1251")
        result = imported(PAYMENT, tmp_path)
        assert result.events[0]["user_id"] == "Иванов Пётр"
        assert result.notes == [f"{tmp_path / 'f.csv'} was read as cp1251"]


class TestCells:
    @pytest.mark.parametrize(
        ("cell", "form", "milliseconds"),
        [
            ("2025-11-20 10:00:00 UTC", "", 1_763_632_800_000),
            ("2025-11-20 10:00:00 -0500", "", 1_763_650_800_000),
            ("2025-11-20 10:00", "timezone: Europe/Moscow", 1_763_622_000_000),
            ("Nov 20, 2025 10:11 PM", "", 1_763_676_660_000),
            ("Thu, 20 Nov 2025 10:00:00 GMT", "", 1_763_632_800_000),
            ("20.11.2025 10:00", "order: dmy", 1_763_632_800_000),
            ("11/20/2025", "order: mdy", 1_763_596_800_000),
            ("1763632800", "unit: s", 1_763_632_800_000),
            ("1763632800000000", "unit: us", 1_763_632_800_000),
            ("45981.5", "unit: excel", 1_763_640_000_000),
            ("20112025", "format: '%d%m%Y'", 1_763_596_800_000),
        ],
    )
    def test_times(self, tmp_path: Path, cell: str, form: str, milliseconds: int) -> None:
        write(tmp_path, f'id,date,user,amount\n1,"{cell}",u,5\n')
        result = imported(PAYMENT.replace("f.csv", f"f.csv, times: {{date: {{{form}}}}}"), tmp_path)
        assert [each["occurred_at_ms"] for each in result.events] == [milliseconds]

    @pytest.mark.parametrize(
        ("cell", "said"),
        [
            ("01/02/2025", "is the day first, or the month"),
            ("31.01.2025", "is the day first, or the month"),
            ("1763632800", "say its unit"),
            ("2025-02-30", "is no time"),
            ("2025-11-20 10:00 BST", "means several"),
            ("soon", "is no time that can be read"),
        ],
    )
    def test_what_can_be_read_in_two_ways_is_asked(self, tmp_path: Path, cell: str, said: str) -> None:
        write(tmp_path, f"id,date,user,amount\n1,{cell},u,5\n")
        result = imported(PAYMENT, tmp_path)
        assert said in result.refused[0].detail

    @pytest.mark.parametrize(
        ("cell", "marks", "value"),
        [
            ("1,234.50", 'thousands: ","', "1234.50"),
            ("1 234,56", 'decimal: ",", thousands: " "', "1234.56"),
            ("1\u00a0234,56 €", 'decimal: ",", thousands: " "', "1234.56"),
            ("EUR 12.00", "", "12.00"),
            ("12.00", "", "12.00"),
            ("1.234", 'decimal: ","', None),
            ("12.5", 'decimal: ",", thousands: "."', None),
            ("$12.00", "", None),
            ("(12.00)", "", None),
            ("12,00", "", None),
        ],
    )
    def test_amounts_by_the_marks_of_the_file(self, tmp_path: Path, cell: str, marks: str, value: str | None) -> None:
        write(tmp_path, f'id,date,user,amount\n1,2025-01-01,u,"{cell}"\n')
        text = PAYMENT.replace("f.csv", f"f.csv, {marks}").replace("amount}", "amount, currency: {text: EUR}}")
        result = imported(text, tmp_path)
        assert [each["properties"]["value"] for each in result.events] == ([value] if value else [])
        assert [reason for _, reason in result.said] == ([] if value else ["amount"])
        assert len(imported(text, tmp_path, Kind.AMOUNT).events) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inputs: [{fiel: a}]\nevents: []", "inputs[0].fiel: unknown key; remove it (did you mean 'file'?)"),
        ("inputs: [{file: f.csv}]", "nothing becomes of its rows"),
        ("inputs: [{file: f.csv}]\nevents: [{name: a, at: b}]", "events[0]: says nobody; write one of user_id"),
        (PAYMENT.replace("date,", "day,"), "there is no column 'day'"),
        (PAYMENT.replace("value: amount", "value: amount * 2 +"), "is no formula"),
        (PAYMENT.replace("at: date", "at: '??? which one'"), "is a question (???): which one"),
        (PAYMENT.replace("f.csv", "g.csv"), "there is no such file"),
        (PAYMENT.replace("f.csv", "f.csv, encoding: klingon"), "is no encoding"),
        ("a: [", "is neither YAML nor JSON"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_by_key(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "id,date,user,amount\n1,2025-01-01,u,5\n")
    with pytest.raises(InputFileError) as raised:
        imported(text, tmp_path)
    assert said in str(raised.value)


def test_the_overview_is_what_a_person_compares_with_the_source(tmp_path: Path) -> None:
    write(tmp_path, "no,who,at,sum,src\na,u,2025-01-01,5,x\na,u,2025-01-02,7,x\nb,v,2025-01-03,,y\n")
    result = imported(
        """
        inputs: [{file: f.csv}]
        events: [{name: payment, at: at, user_id: who, order_id: no, value: sum, currency: {text: EUR}, channel: src}]
        """,
        tmp_path,
    )
    (payment,) = result.overview["events"]
    assert payment["money"] == {"EUR": {"events": 2, "minor": 1200}}
    assert [payment[key] for key in ("count", "persons", "without_id", "without_amount")] == [3, 2, 3, 1]
    assert (payment["first"], payment["last"]) == ("2025-01-01T00:00:00.000Z", "2025-01-03T00:00:00.000Z")
    assert result.overview["orders_with_several_amounts"] == {"count": 1, "first": ["a"]}
    assert result.overview["distinct"]["channel"] == {"count": 2, "frequent": {"x": 2, "y": 1}}
    assert len(result.overview["samples"]) == 3


def write_xlsx(path: Path, heading: tuple[str, ...], cells: tuple[float, ...]) -> None:
    """The smallest workbook: one sheet, its texts inline."""
    texts = "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in heading)
    numbers = "".join(f"<c><v>{cell}</v></c>" for cell in cells)
    main, office = (
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    )
    package = "http://schemas.openxmlformats.org/package/2006"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
            '<sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        book.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{main}"><sheetData><row r="1">{texts}</row>'
            f'<row r="2">{numbers}</row></sheetData></worksheet>',
        )


class TestSpend:
    def test_a_statement_is_known_by_what_it_is_of_and_rows_of_one_are_refused_or_added_up(
        self, tmp_path: Path
    ) -> None:
        text = (
            "Report\nDay;Campaign name;Amount spent (EUR);Ad\n01.03.2025;Spring;1.049,50;a\n01.03.2025;Spring;1,00;b\n"
        )
        write(tmp_path, text)
        layout = {"heading": 2, "decimal": ",", "thousands": "."}
        headings = ("Day", "Campaign name", "Amount spent (EUR)", "Ad")
        constants = {"channel": "facebook", "currency": "EUR"}

        def spent(**options: Any) -> Imported:
            table = SpendTable("f.csv", constants=constants, layout=layout, order="dmy", **options)
            return imported(spend_definition(table, headings).model_dump_json(by_alias=True), tmp_path)

        refused = spent()
        assert [each.reason for each in refused.refused] == ["copy"]
        assert "--sum" in refused.refused[0].detail
        (event,) = spent(is_summed=True).events
        assert event["properties"]["value"] == "1050.50"
        assert event["properties"]["day"] == "2025-03-01"
        assert event["id"] == refused.events[0]["id"]
        assert len(spent(columns={"ad": "Ad"}).events) == 2

    def test_what_is_not_found_is_asked(self) -> None:
        with pytest.raises(InputFileError, match="no column for day; write --map day=COLUMN"):
            spend_definition(SpendTable("f.csv", constants={"channel": "x"}), ("When", "Cost"))


def test_a_group_with_a_refused_row_is_not_summed_up_without_it(tmp_path: Path) -> None:
    write(tmp_path, "no,who,at,sum\na,u,2025-01-01,5\na,u,2025-01-01,7,x\nb,u,2025-01-01,1\n")
    result = imported(
        """
        inputs: [{file: f.csv}]
        events: [{name: payment, group: no, at: at, id: no, user_id: who, value: sum(sum)}]
        """,
        tmp_path,
    )
    assert result.brief() == [("payment", "b", "1")]
    assert result.said == [(3, "cells"), (2, "incomplete_group")]


@rows("end", some(["\r\n", "\n", "\r"], every=3))
def test_a_file_of_more_rows_than_are_looked_at_first(tmp_path: Path, end: str) -> None:
    lines = [f"{number};2025-01-01;u{number % 7};{number},50" for number in range(2_500)]
    (tmp_path / "f.csv").write_bytes(end.join(["id;date;user;amount", *lines]).encode())
    result = imported(PAYMENT.replace("f.csv", 'f.csv, decimal: ","'), tmp_path)
    assert (result.rows.taken, result.rows.read) == (2_500, 2_500)
    assert result.overview["events"][0]["persons"] == 7
