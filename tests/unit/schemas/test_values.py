"""Names, ids, money, partitions, cell addresses: the small laws of the published language."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from aiokafka.partitioner import DefaultPartitioner, murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas import counters
from schemas.ids import clean_event_id, clean_id, is_placeholder, person_key
from schemas.money import clean_currency, clean_minor, minor_digits, parse_minor
from schemas.names import clean_value, normalise_name
from schemas.partition import murmur2 as our_murmur2
from schemas.partition import partition_of
from schemas.topics import Topics
from tests.support.rows import rows


@rows("text", ["Order Completed", "order-completed", " ORDER_COMPLETED ", "order completed"])
def test_spellings_of_a_name_are_one(text: str) -> None:
    assert normalise_name(text) == "order_completed"


EXPORTED = ["-", "--", r"\N", "(not set)", "(None)", "(null)", "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "0.0", "0.00"]
"""What exports of databases, spreadsheets and analytics write where there is nothing."""


UNFILLED = [
    "{{user_id}}",
    " ${userId} ",
    "#{id}",
    "<%= id %>",
    "{% id %}",
    "*|EMAIL|*",
    "%%id%%",
    "{campaignid}",
    "{$id}",
]
UNFILLED += ["%s", "%(id)s", "%USER.ID%", "__CAMPAIGN_NAME__", "{{}}"]
FILLED = [
    "{3f2504e0-4f89-11d3-9a0c-0305e82c3301}",
    "%41%42",
    "a{{b}}",
    "$1",
    "100%",
    "__init__",
    "_",
    "#1001",
    "<b>",
    "{a b}",
]


@rows("text", UNFILLED)
def test_a_template_that_nobody_filled_in_stands_for_nothing(text: str) -> None:
    assert clean_id(text) is None
    assert clean_event_id(text) is None
    assert clean_value(text) == "unknown"


@rows("text", FILLED)
def test_what_only_looks_like_a_template_is_an_id(text: str) -> None:
    assert clean_id(text) == text
    assert clean_value(text) == text.casefold()


@rows("text", ["(not set)", "NULL", "NaN", r"\N", "-", "#N/A", "undefined", "n/a"])
def test_what_an_export_writes_for_nothing_is_no_value(text: str) -> None:
    assert clean_value(text) == "unknown"


@rows("text", ["none", "(none)", "0", "true", "guest", "na", "user"])
def test_what_is_no_id_may_be_a_value(text: str) -> None:
    assert clean_id(text) is None
    assert clean_value(text) == text


@rows("text", ["", "  ", "NULL", "undefined", "[object Object]", "0", "-1", "{}", "N/A", " Guest ", *EXPORTED])
def test_placeholders_are_no_ids(text: str) -> None:
    assert is_placeholder(text)
    assert clean_id(text) is None


def test_an_id_is_trimmed_and_numbers_become_text() -> None:
    assert clean_id(" u-1 ") == "u-1"
    assert clean_id(17) == "17"
    assert clean_id(0) is None
    assert clean_id(None) is None


@rows("text", [None, "", " ", "undefined", "NULL", "(not set)", "-", r"\N", "[object Object]"])
def test_what_stands_for_nothing_names_no_event(text: str | None) -> None:
    assert clean_event_id(text) is None


@rows("value", [0, "0", -1, "id", " e-1 ", "00"])
def test_senders_that_count_from_0_name_their_events(value: str | int) -> None:
    assert clean_event_id(value) == str(value).strip()


def test_a_person_is_the_highest_id_in_its_own_name_space() -> None:
    assert person_key("1", "2", "3") == b"u:1"
    assert person_key(None, "2", "3") == b"c:2"
    assert person_key(None, None, "ж") == "a:ж".encode()
    assert person_key(None, None, None) is None


@rows(
    ("raw", "currency", "minor"),
    [
        ("19.99", "EUR", 1999),
        (19.99, "EUR", 1999),
        ("2.345", "USD", 234),
        ("2.355", "USD", 236),
        ("100", "JPY", 100),
        ("100.5", "JPY", 100),
        ("101.5", "JPY", 102),
        ("1.2345", "KWD", 1234),
        ("1e2", "USD", 10000),
        (Decimal("0.10"), "USD", 10),
        ("0", "USD", 0),
        ("1.0149999999999999999999999999999999", "USD", 101),
        ("0.0250000000000000000000000000000001", "USD", 3),
    ],
)
def test_money_is_exact_and_rounds_half_even(raw: str | float | Decimal, currency: str, minor: int) -> None:
    assert parse_minor(raw, currency) == minor


@rows("raw", ["", "ten", "٣", "-1", "NaN", "Infinity", "1_000", "9" * 40, True, "1,5"])
def test_what_is_no_amount_is_none(raw: str) -> None:
    assert parse_minor(raw, "USD") is None


@given(st.integers(min_value=0, max_value=10**14), st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_minor_units_survive_the_way_through_text(minor: int, currency: str) -> None:
    text = format(Decimal(minor).scaleb(-minor_digits(currency)), "f")
    assert parse_minor(text, currency) == minor


@given(st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,45})?", fullmatch=True), st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_rounding_happens_once(text: str, currency: str) -> None:
    exact = Fraction(text) * 10 ** minor_digits(currency)
    assert parse_minor(text, currency) == round(exact)  # Fraction rounds half to even


def test_minor_amounts_are_whole_and_not_negative() -> None:
    assert clean_minor(5) == 5
    assert clean_minor(" 17 ") == 17
    assert all(clean_minor(bad) is None for bad in (-1, 1.5, True, "1.5", None, "x", 10**16))


def test_currencies_are_three_letters() -> None:
    assert clean_currency(" eur ") == "EUR"
    assert all(clean_currency(bad) is None for bad in ("EURO", "E1R", "", None, 5))


@given(st.binary(max_size=80), st.integers(min_value=1, max_value=96))
def test_partitions_are_those_of_every_kafka_producer(key: bytes, partitions: int) -> None:
    assert our_murmur2(key) == murmur2(key) & 0xFFFFFFFF
    assert partition_of(key, partitions) == DefaultPartitioner()(key, list(range(partitions)), [])


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 255))
def test_a_cell_field_can_be_split_again(value1: int, value2: int, stage: int) -> None:
    assert counters.split_field(counters.cell_field(value1, value2, stage)) == (value1, value2, stage)


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3))
def test_currency_codes_are_reversible(code: str) -> None:
    assert counters.currency_text(counters.currency_code(code)) == code


def test_labels_of_buckets() -> None:
    at = 1_735_725_600  # 2025-01-01T10:00:00Z
    assert counters.bucket_label(counters.Grain.TOTAL, 0) == "all"
    assert counters.bucket_label(counters.Grain.MINUTE, at // 60) == "2025-01-01T10:00Z"
    assert counters.bucket_label(counters.Grain.HOUR, at // 3600) == "2025-01-01T10Z"
    assert counters.bucket_label(counters.Grain.DAY, at // 86400) == "2025-01-01"


def test_a_bucket_is_shown_until_its_end_is_the_keep_time_behind() -> None:
    end_ms = 60_000 * 101
    keep = counters.KEEP_MS[counters.Grain.MINUTE]
    assert counters.is_kept(counters.Grain.MINUTE, 100, end_ms + keep - 1)
    assert not counters.is_kept(counters.Grain.MINUTE, 100, end_ms + keep)
    assert counters.is_kept(counters.Grain.DAY, 0, 10**15)


def test_a_space_is_a_plain_name() -> None:
    assert Topics("main").events == "funnelcast.main.events"
    for bad in ("", "A", "a.b", "a b", "-a"):
        with pytest.raises(ValueError, match="space"):
            Topics(bad)
