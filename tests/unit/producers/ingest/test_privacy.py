"""What of a person is left out before an event is stored, and that everything else stays byte for byte."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.event import Event
from producers.ingest.privacy import IpRule, Privacy, clean_link, truncate_ip
from producers.ingest.verdicts import Accepted, Sender
from schemas.record import decode_any
from tests.support import samples
from tests.support.collector import TOPICS
from tests.support.rows import rows
from tests.support.waiting import computing_limit
from tests.support.webhooks import EVERY_SAMPLE, load, of_sample

NOW = 1_735_725_600_000


def stored(raw: dict[str, Any] | bytes, **rules: Any) -> dict[str, Any]:
    """The record of a native event under the rules."""
    ingest = Ingest(privacy=Privacy(**rules), contacts=Contacts(b"secret"))
    body = raw if isinstance(raw, bytes) else orjson.dumps({"id": "e", "name": "click", "user_id": "u"} | raw)
    verdict = ingest.native(body, sender=Sender(), received_at_ms=NOW)
    assert isinstance(verdict, Accepted), verdict
    return decode_any(verdict.value)


@rows(
    ("sent", "network"),
    [
        ("203.0.113.77", "203.0.113.0"),
        (" 203.0.113.77 ", "203.0.113.0"),
        ("2001:db8:1234:5678:9abc::1", "2001:db8:1234::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("203.0.113.77:443", None),
        ("203.0.113.77, 198.51.100.2", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_an_address_becomes_its_network(sent: str, network: str | None) -> None:
    assert truncate_ip(sent) == network


@rows(
    ("rule", "left"),
    [
        (IpRule.TRUNCATE, {"ip": "203.0.113.0"}),
        (IpRule.DROP, {}),
        (IpRule.KEEP, {"ip": "203.0.113.77"}),
    ],
)
def test_the_rule_for_addresses_in_the_context_and_the_properties(rule: IpRule, left: dict[str, str]) -> None:
    context = {"ip": "203.0.113.77", "userAgent": "Mozilla/5.0", "traits": {"ip": "203.0.113.77"}}
    record = stored({"context": context, "properties": {"$ip": "203.0.113.77", "a": 1}}, ip=rule)
    assert record["context"] == {**left, "userAgent": "Mozilla/5.0", "traits": left}
    assert record["properties"] == {**{f"${name}": one for name, one in left.items()}, "a": 1}


@rows("name", ["ip", "$ip", "ip_address", "ipAddress", "user_ipaddress"])
def test_every_name_of_an_address(name: str) -> None:
    assert stored({"properties": {name: "203.0.113.77"}})["properties"] == {name: "203.0.113.0"}


def test_what_is_no_text_is_no_address() -> None:
    assert stored({"properties": {"ip": 5, "zip": "203.0.113.77"}})["properties"] == {"ip": 5, "zip": "203.0.113.77"}


def test_a_name_written_in_escapes_is_read() -> None:
    body = rb'{"id":"e","name":"x","user_id":"u","context":{"\u0069p":"203.0.113.77"}}'
    assert stored(body)["context"] == {"ip": "203.0.113.0"}


@rows(
    ("sent", "left"),
    [
        ("https://shop.example/thanks?email=a@example.com&ok=1", "https://shop.example/thanks?email=&ok=1"),
        ("https://shop.example/?a=1&mail=a%40example.com#top", "https://shop.example/?a=1&mail=#top"),
        ("?next=%2Fhello%3Femail%3Da%2540example.com", "?next="),
        ("/x#token=a.b@example.com", "/x#token="),
        ("email=a@example.com", "email="),
        ("?to=Ann%20%3Ca@example.com%3E", "?to="),
        ("https://shop.example/?at=@handle&ratio=3@2", "https://shop.example/?at=@handle&ratio=3@2"),
        ("write to a@example.com?", "write to a@example.com?"),
        ("https://shop.example/?q=plain", "https://shop.example/?q=plain"),
    ],
)
def test_e_mails_go_out_of_links(sent: str, left: str) -> None:
    assert clean_link(sent) == left
    page = {"page": {"url": sent, "title": "T"}}
    record = stored({"context": page, "properties": {"links": [{"href": sent}, 1.50]}})
    assert record["context"] == {"page": {"url": left, "title": "T"}}
    assert record["properties"]["links"][0] == {"href": left}


def test_what_stays_is_byte_for_byte_as_it_was_sent() -> None:
    body = (
        b'{"id":"e","name":"payment","user_id":"u@example.com","properties":'
        b'{"value":19.990,"big":12345678901234567890,"url":"?e=a@example.com","nested":{"x":1.10}}}'
    )
    verdict = Ingest().native(body, sender=Sender(), received_at_ms=NOW)
    assert isinstance(verdict, Accepted)
    assert b'{"value":19.990,"big":12345678901234567890,"url":"?e=","nested":{"x":1.10}}' in verdict.value


def test_denied_properties_are_left_out_however_deep_and_traits_with_them() -> None:
    event = {
        "properties": {"ssn": "1", "Card": {"SSN": "1", "x": 1}, "list": [{"ssn": 1}], "keep": 2},
        "context": {"traits": {"ssn": "1", "name": "Ann"}, "ssn": "not a property"},
    }
    record = stored(event, deny=["SSN"])
    assert record["properties"] == {"Card": {"x": 1}, "list": [{}], "keep": 2}
    assert record["context"] == {"traits": {"name": "Ann"}, "ssn": "not a property"}


def test_only_allowed_properties_stay() -> None:
    event = {
        "properties": {"Value": 1, "secret": 2, "nested": {"any": 1}},
        "context": {"traits": {"value": 3, "name": "Ann"}, "locale": "de"},
    }
    record = stored(event, allow=["value", "nested"])
    assert record["properties"] == {"Value": 1, "nested": {"any": 1}}
    assert record["context"] == {"traits": {"value": 3}, "locale": "de"}


def test_a_denied_e_mail_still_finds_the_person() -> None:
    record = stored({"properties": {"email": "a@example.com"}}, deny=["email"])
    assert record["contact_id"] == Contacts(b"secret").of_email("a@example.com")


def test_events_of_other_formats_are_held_to_the_same_rules() -> None:
    event = Event(id="e", name="click", user_id="u", properties={"$ip": "203.0.113.77"}, context={"ip": "::1"})
    verdict = Ingest().checked(event, sender=Sender(), received_at_ms=NOW)
    assert isinstance(verdict, Accepted)
    assert decode_any(verdict.value)["properties"] == {"$ip": "203.0.113.0"}
    assert decode_any(verdict.value)["context"] == {"ip": "::"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5))
def test_without_anything_personal_nothing_changes(properties: dict[str, Any]) -> None:
    text = orjson.dumps(properties)
    if b"@" in text or b"40" in text or b"ip" in text or b"mail" in text.lower() or b"phone" in text.lower():
        return
    assert stored({"properties": properties})["properties"] == properties


@given(st.dictionaries(st.sampled_from(["ip", "$ip", "url", "x"]), json_values, max_size=4))
def test_the_rules_are_at_rest_after_one_time(properties: dict[str, Any]) -> None:
    once = stored({"properties": properties})["properties"]
    assert stored({"properties": once})["properties"] == once


@rows(
    "text",
    ["?a=" * 100_000 + "@", "&" * 300_000 + "@", "a" * 300_000 + "=@", "?" + "a" * 64 + "=" + "@." * 150_000],
    ids=range(4),
)
@computing_limit()  # the square of so many steps takes minutes
def test_a_text_made_to_be_slow_is_not(text: str) -> None:
    clean_link(text)


@rows("name", [one for one in samples.names("") if not one.startswith("webhook-")])
async def test_no_recorded_request_leaves_an_e_mail_or_an_address_behind(name: str, tmp_path: Path) -> None:
    collector = samples.collector_of_samples(tmp_path)
    await samples.sample(name).send(collector)
    stored = "".join(one.value.decode() for one in collector.sink.records(TOPICS.events))
    assert not re.search(r"[\w.+-]+(?:@|%40)[\w-]+\.\w+", stored)
    assert not re.search(r'ip"\s*:\s*"\d+\.\d+\.\d+\.[1-9]', stored)


async def test_no_recorded_webhook_leaves_an_e_mail_behind() -> None:
    for name in EVERY_SAMPLE:
        collector = of_sample(name.removeprefix("webhook-"))
        await collector.send(load(name.removeprefix("webhook-")))
        events = [json.dumps(one) for one in collector.events()]
        assert not [one for one in events if re.search(r"[\w.+-]+@[\w-]+\.\w+", one)], name
