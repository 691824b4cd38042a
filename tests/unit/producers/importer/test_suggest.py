"""A suggested import file: what is recognised, what is asked, and that it runs once the questions are answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from producers.importer.suggest import suggested
from schemas.errors import InputFileError
from tests.support.imports import imported

EXPORTS = Path(__file__).parents[3] / "support" / "exports"


def answered(text: str, *answers: str) -> str:
    """The text with its questions answered in their order."""
    for answer in answers:
        before, _, rest = text.partition('"??? ')
        text = before + answer + rest.partition('"')[2]
    assert '"???' not in text
    return text


def test_a_wide_table_is_an_event_for_each_of_its_times() -> None:
    text = suggested(EXPORTS / "pipedrive-deals.csv")
    with pytest.raises(InputFileError, match=r"events\[2\].name: is a question .*what happened at Deal - Lost time"):
        imported(text, EXPORTS)
    found = imported(answered(text, "lead_created", "payment", "deal_lost"), EXPORTS)
    assert found.refused == []
    assert [each["name"] for each in found.events] == ["lead_created"] * 3 + ["deal_lost", "payment"]
    payment = found.events[-1]["properties"]
    assert payment == {"deal_id": "77", "currency": "EUR", "manager": "Ann Smith", "value": "1200.50"}


def test_marks_encodings_and_the_order_of_days_are_found_where_the_cells_show_them() -> None:
    text = suggested(EXPORTS / "amocrm-deals.csv")
    found = imported(answered(text, "lead_created", "RUB", "closed", "RUB"), EXPORTS)
    assert found.refused == []
    assert found.brief()[0] == ("lead_created", "1001-дата-создания-сделки", "150000.00")


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
    found = imported(answered(text, '","', "dmy", "payment", "EUR"), tmp_path)
    assert found.brief() == [("payment", "1", "1.234"), ("payment", "2", "5.678")]


@pytest.mark.parametrize("name", sorted(path.name for path in EXPORTS.iterdir()))
def test_every_export_gets_a_file_that_only_asks_or_is_known(name: str) -> None:
    text = suggested(EXPORTS / name)
    if "shape:" in text:
        assert imported(text, EXPORTS).events
        return
    with pytest.raises(InputFileError) as raised:
        imported(text, EXPORTS)
    assert all("is a question (???)" in line for line in str(raised.value).splitlines())
