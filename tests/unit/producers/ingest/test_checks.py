"""What the collector makes of one native event: the record, or the reason why not."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import orjson

from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts, normalise_email, normalise_phone
from producers.ingest.limits import Limits
from producers.ingest.objects import is_deeper
from producers.ingest.verdicts import Accepted, Rejected, Scope, Sender, SequenceNumber, Ticked
from schemas.reasons import RejectReason
from schemas.record import decode_any
from tests.support.rows import rows
from tests.support.waiting import computing_limit

NOW = 1_735_725_600_000
SERVER = Sender("web", Scope.SERVER)
HISTORICAL = Sender("web", Scope.HISTORICAL)


def ingest(**options: Any) -> Ingest:
    return Ingest(**{"contacts": Contacts(b"secret")} | options)


def read(event: Any, *, sender: Sender = SERVER, **options: Any) -> Accepted | Ticked | Rejected:
    raw = event if isinstance(event, bytes) else orjson.dumps(event)
    return ingest(**options).native(raw, sender=sender, received_at_ms=NOW)


def record(event: Any, *, sender: Sender = SERVER, **options: Any) -> dict[str, Any]:
    verdict = read(event, sender=sender, **options)
    assert isinstance(verdict, Accepted), verdict
    return decode_any(verdict.value)


def reason(event: Any, *, sender: Sender = SERVER, **options: Any) -> str:
    verdict = read(event, sender=sender, **options)
    assert isinstance(verdict, Rejected), verdict
    return verdict.reason.value


def event(**members: Any) -> dict[str, Any]:
    return {"id": "e-1", "name": "click", "occurred_at_ms": NOW - 5, "anonymous_id": "v1"} | members


def test_an_event_becomes_the_record_that_the_worker_reads() -> None:
    checked = read(event(user_id=" u1 ", source="crm", properties={"channel": "google"}))
    assert isinstance(checked, Accepted)
    assert checked.key == b"u:u1"
    assert orjson.loads(checked.value) == {
        "id": "e-1",
        "name": "click",
        "occurred_at_ms": NOW - 5,
        "received_at_ms": NOW,
        "source": "web",  # of the key, whatever the event says
        "anonymous_id": "v1",
        "user_id": "u1",
        "properties": {"channel": "google"},
    }


def test_money_stays_exactly_as_it_was_sent() -> None:
    raw = b'{"id":1,"name":"Payment","user_id":7,"properties":{"value":19.990,"big":12345678901234567890.10,"n":1e2}}'
    verdict = read(raw)
    assert isinstance(verdict, Accepted)
    assert b'"properties":{"value":19.990,"big":12345678901234567890.10,"n":1e2}' in verdict.value
    assert decode_any(verdict.value)["id"] == "1"
    assert verdict.key == b"u:7"


def test_names_are_normalised_and_times_default_to_reception() -> None:
    checked = record({"id": "e", "name": " Order Completed ", "user_id": "u"})
    assert checked["name"] == "order_completed"
    assert checked["occurred_at_ms"] == NOW


@rows(
    ("text", "expected"),
    [
        ("2025-01-01T10:00:00Z", NOW),
        ("2025-01-01T12:00:00.000+02:00", NOW),
        ("2025-01-01T10:00:00.123456Z", NOW + 123),
        ("2025-01-01 10:00", NOW),
        ("2025-1-01T10:00:00Z", NOW),
    ],
)
def test_rfc_3339_times(text: str, expected: int) -> None:
    assert record(event(occurred_at_ms=None, occurred_at=text))["occurred_at_ms"] == expected


@rows(("value", "becomes"), [("\\ud800", "\ufffd"), ("a\tb", "a\tb"), ("\\ud83d\\ude00", "\U0001f600")])
def test_text_that_no_parser_takes_is_repaired(value: str, becomes: str) -> None:
    raw = f'{{"id":"a","name":"a","user_id":"u","properties":{{"x":"{value}","y":NaN}}}}'.encode()
    verdict = read(raw)
    assert isinstance(verdict, Accepted)
    assert decode_any(verdict.value)["properties"] == {"x": becomes, "y": None}
    assert verdict.repairs == 1 + (value != "\\ud83d\\ude00")


@rows(
    ("bad", "expected"),
    [
        (b"{", "malformed_json"),
        (b'{"id":"\xff","name":"a","user_id":"u"}', "malformed_json"),
        (b'{"id":"a","name":"a","user_id":"u","properties":{"x":"\xff"}}', "malformed_json"),
        (b'{"id":"a","name":"a","user_id":"u","properties":{"x":NaN,}}', "malformed_json"),
        (b'{"id":"a","name":"a","user_id":"u","properties":{"x":1e999}}', "malformed_json"),
        (b"3", "not_an_object"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (event(id=None), "missing_id"),
        (event(id="  "), "missing_id"),
        (event(id="{{event_id}}"), "missing_id"),  # of a thousand events one would be counted
        (event(id=" NULL"), "missing_id"),
        (event(id=True), "wrong_type"),
        (event(id=1.5), "wrong_type"),
        (event(id={}), "wrong_type"),
        (event(id="x" * 257), "id_too_long"),
        (event(name=None), "missing_name"),
        (event(name=""), "missing_name"),
        (event(name=" "), "missing_name"),
        (event(name=7), "wrong_type"),
        (event(name="n" * 129), "name_too_long"),
        (event(anonymous_id=None), "missing_person"),
        (event(anonymous_id="null", user_id=" UNDEFINED "), "missing_person"),
        (event(anonymous_id="v" * 257), "id_too_long"),
        (event(anonymous_id=["v"]), "wrong_type"),
        (event(occurred_at_ms="soon"), "wrong_type"),
        (event(occurred_at_ms=1.5), "wrong_type"),
        (event(occurred_at_ms=-1), "invalid_time"),
        (event(occurred_at_ms=NOW // 1000), "invalid_time"),
        (event(occurred_at_ms=10**15), "invalid_time"),
        (event(occurred_at_ms=None, occurred_at="yesterday"), "invalid_time"),
        (event(properties=[]), "wrong_type"),
        (event(properties="x"), "wrong_type"),
        (event(context=3), "wrong_type"),
        (event(properties={"x": "y" * 40_000}), "event_too_large"),
        ({"tick": 5}, "not_allowed"),
    ],
)
def test_bad_events_have_a_reason_of_the_closed_list(bad: Any, expected: str) -> None:
    assert reason(bad) == expected
    assert RejectReason(expected)


def test_a_rejected_event_is_named_by_what_could_be_read_of_it() -> None:
    verdict = read(event(name=None))
    assert isinstance(verdict, Rejected)
    assert verdict.id == "e-1"
    assert verdict.detail == "name is missing"


def test_depth_is_bounded_and_brackets_in_texts_do_not_count() -> None:
    deep = b'{"id":"a","name":"a","user_id":"u","properties":{"x":' + b"[" * 31 + b"]" * 31 + b"}}"
    assert reason(deep) == "too_deep"
    assert reason(b'{"a":' * 5000 + b"1" + b"}" * 5000) == "too_deep"
    assert record(event(properties={"x": '[{"' * 100}))
    nested = b'{"a":["[[[\\"", {"b":1}]}'
    assert is_deeper(nested, 2)
    assert not is_deeper(nested, 3)
    assert not is_deeper(b"[" + b"{}," * 1000 + b"{}]", 2)


@rows(
    "raw",
    [
        b"{" * 40 + b'"' + b'\\"' * 500_000,
        b"[" * 500_000 + b"]" * 500_000,
        b'{"a":' + b"[]," * 300_000,
        b"}{" * 500_000,
        b'"' * 999_999,
    ],
    ids=["quotes", "deep", "flat", "unbalanced", "texts"],
)
@computing_limit()  # a second look at every byte for every byte takes an hour
def test_depth_costs_no_more_than_the_length(raw: bytes) -> None:
    is_deeper(raw, 32)


def test_null_members_are_absent() -> None:
    checked = record(event(properties=None, context=None, user_id=None, contact_id=None, email=None))
    assert checked.keys() == {"id", "name", "occurred_at_ms", "received_at_ms", "source", "anonymous_id", "properties"}
    assert checked["properties"] == {}


def test_placeholders_are_dropped_and_counted() -> None:
    checked = record(event(user_id="[object Object]", contact_id="N/A"))
    assert "user_id" not in checked
    assert "contact_id" not in checked
    assert checked["placeholder_ids"] == 2


def test_a_time_too_far_ahead_becomes_the_time_of_reception() -> None:
    on_the_edge = read(event(occurred_at_ms=NOW + 60_000))
    assert isinstance(on_the_edge, Accepted)
    assert not on_the_edge.was_clamped
    absurd = read(event(occurred_at_ms=NOW + 60_001))
    assert isinstance(absurd, Accepted)
    assert absurd.was_clamped
    assert decode_any(absurd.value)["occurred_at_ms"] == NOW


def test_ad_spend_needs_no_person() -> None:
    verdict = read({"id": "s", "name": "Ad Spend", "properties": {"value": "10"}})
    assert isinstance(verdict, Accepted)
    assert verdict.key is None


def test_unknown_names_are_marked_or_rejected() -> None:
    verdict = read(event(), known_names={"payment"})
    assert isinstance(verdict, Accepted)
    assert not verdict.is_known
    assert reason(event(), known_names={"payment"}, strict_names=True) == "unknown_name"
    assert record(event(name="Payment"), known_names={"payment"}, strict_names=True)


def test_limits_are_settings() -> None:
    assert reason(event(), limits=Limits(event_bytes=10)) == "event_too_large"


class TestHistory:
    def test_reception_and_source_are_taken_as_sent(self) -> None:
        checked = record(event(received_at_ms=NOW - 1, source=" crm "), sender=HISTORICAL)
        assert (checked["received_at_ms"], checked["source"]) == (NOW - 1, "crm")

    def test_reception_defaults_to_the_occurrence(self) -> None:
        assert record(event(), sender=HISTORICAL)["received_at_ms"] == NOW - 5

    def test_without_a_clock_a_time_is_needed(self) -> None:
        timeless = orjson.dumps(event(occurred_at_ms=None))
        verdict = ingest().native(timeless, sender=HISTORICAL, received_at_ms=None)
        assert isinstance(verdict, Rejected)
        assert verdict.reason is RejectReason.INVALID_TIME

    def test_an_absurd_reception_is_rejected(self) -> None:
        assert reason(event(received_at_ms=-1), sender=HISTORICAL) == "invalid_time"

    def test_other_scopes_cannot_state_a_reception(self) -> None:
        assert record(event(received_at_ms=5))["received_at_ms"] == NOW

    def test_ticks_carry_their_marker_and_number(self) -> None:
        raw = b'{"tick":5,"marker":"end"}'
        verdict = ingest().native(raw, sender=HISTORICAL, received_at_ms=NOW, sequence=SequenceNumber("s", 3))
        assert verdict == Ticked(5, b'{"tick":5,"marker":"end","seq":["s",3]}')

    def test_the_number_of_an_ordered_sender_travels_with_the_event(self) -> None:
        verdict = ingest().native(
            orjson.dumps(event()), sender=SERVER, received_at_ms=NOW, sequence=SequenceNumber("s", 7)
        )
        assert isinstance(verdict, Accepted)
        assert decode_any(verdict.value)["seq"] == ["s", 7]


class TestContacts:
    HASH = hmac.new(b"secret", b"ann@example.com", hashlib.sha256).hexdigest()

    @rows(
        "where",
        [
            {"email": " Ann@Example.COM "},
            {"properties": {"email": "ann@example.com"}},
            {"properties": {"Email": "ann@example.com"}},
            {"context": {"traits": {"email": "ann@example.com"}}},
        ],
    )
    def test_an_email_becomes_a_contact_and_its_plain_value_is_dropped(self, where: dict[str, Any]) -> None:
        verdict = read(event(**where))
        assert isinstance(verdict, Accepted)
        assert verdict.key == b"c:" + self.HASH.encode()
        assert b"xample" not in verdict.value

    def test_an_escaped_member_hides_nothing(self) -> None:
        raw = b'{"id":"e","name":"a","properties":{"e\\u006dail":"ann@example.com","value":1.10}}'
        verdict = read(raw)
        assert isinstance(verdict, Accepted)
        assert verdict.key == b"c:" + self.HASH.encode()
        assert decode_any(verdict.value)["properties"] == {"value": 1.10}
        assert b"1.10" in verdict.value

    def test_it_is_kept_when_told_so(self) -> None:
        checked = record(event(properties={"email": "ann@example.com"}), keep_contacts=True)
        assert checked["properties"] == {"email": "ann@example.com"}
        assert checked["contact_id"] == self.HASH

    def test_a_stated_contact_wins(self) -> None:
        checked = record(event(contact_id="crm-7", properties={"email": "ann@example.com"}))
        assert checked["contact_id"] == "crm-7"
        assert checked["properties"] == {}

    def test_a_phone_becomes_a_contact(self) -> None:
        expected = hmac.new(b"secret", b"+302101234567", hashlib.sha256).hexdigest()
        assert record(event(phone="+30 210 1234567"))["contact_id"] == expected
        assert record(event(properties={"phone": "0030 (210) 123-4567"}))["properties"] == {}

    def test_what_is_no_address_makes_no_contact(self) -> None:
        checked = record(event(properties={"email": "nobody", "phone": "12"}))
        assert "contact_id" not in checked
        assert checked["properties"] == {}

    @rows("text", ["", "a", "@b", "a@", "a@b@c", "a b@c.d", "x" * 255 + "@b.c"])
    def test_no_emails(self, text: str) -> None:
        assert normalise_email(text) is None

    def test_phones_need_a_country(self) -> None:
        assert normalise_phone("210 1234567") is None
        assert normalise_phone("210 1234567", "GR") == "+302101234567"


@rows("contact", [{"email": "a@b.c"}, {"phone": "+306900000000"}, {"properties": {"email": "a@b.c"}}])
def test_a_placeholder_hides_no_contact(contact: dict[str, Any]) -> None:
    sent = {"id": "e", "name": "click", "contact_id": "null"} | contact
    checked = read(sent)
    assert isinstance(checked, Accepted), checked
    assert checked.key == b"c:" + record({**sent, "contact_id": None})["contact_id"].encode()
    assert checked.placeholder_ids == 1


def test_a_contact_id_of_its_own_stands_before_one_made_from_an_email() -> None:
    assert record(event(contact_id="own", email="a@b.c"))["contact_id"] == "own"
