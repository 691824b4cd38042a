"""Dead letters sent again: which are meant, what is sent, and that every format makes the same event of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from producers.dead_letters.header import HEADER
from producers.dead_letters.record import DeadLetter
from producers.dead_letters.replay import (
    UNVOUCHED,
    CannotSendError,
    DeadLetterCounts,
    DeadLetterFilter,
    StoredDeadLetter,
    decode_dead_letter,
    replay_request,
)
from producers.ingest.verdicts import Scope
from schemas.reasons import RejectReason
from tests.support.collector import NOW, TOPICS, CollectorInMemory
from tests.support.rows import rows
from tests.support.samples import collector_of_samples, names, sample
from tests.support.thorough import some

DAY_MS = 86_400_000
SAMPLES = [name for name in names("") if not name.startswith("webhook")]


def dead_letter(payload: str = "{}", **members: Any) -> StoredDeadLetter:
    """A dead letter at 2:7."""
    values: dict[str, Any] = {"reason": "missing_id", "detail": "", "source": "web", "route": "/v1/events"}
    values |= {"received_at_ms": NOW, "size": len(payload), "payload": payload} | members
    return StoredDeadLetter(2, 7, DeadLetter(**values))


def test_letters_are_chosen_by_what_they_say() -> None:
    letter = dead_letter().dead_letter
    assert DeadLetterFilter().matches(letter)
    assert DeadLetterFilter(frozenset({"missing_id", "too_deep"}), "web", "/v1/events", NOW, NOW + 1).matches(letter)
    for other in (
        DeadLetterFilter(frozenset({"too_deep"})),
        DeadLetterFilter(source="crm"),
        DeadLetterFilter(route="/v1/batch"),
        DeadLetterFilter(since_ms=NOW + 1),
        DeadLetterFilter(until_ms=NOW),
    ):
        assert not other.matches(letter)


@rows("reason", sorted(UNVOUCHED))
def test_what_nobody_vouched_for_is_sent_only_by_name(reason: str) -> None:
    letter = dead_letter(reason=reason).dead_letter
    assert DeadLetterFilter().matches(letter)
    assert not DeadLetterFilter().allows_replay(letter)
    assert DeadLetterFilter(frozenset({reason})).allows_replay(letter)


def test_every_reason_that_says_who_may_not_send_is_among_the_unvouched() -> None:
    about_the_sender = {one for one in RejectReason if "key" in one or "origin" in one or "signature" in one}
    assert {one.value for one in about_the_sender} <= UNVOUCHED
    assert RejectReason.NOT_ALLOWED.value in UNVOUCHED


def test_an_event_without_an_id_gets_one_from_the_letters_place() -> None:
    request = replay_request(dead_letter(' {"name": "click", "properties": {"value": 19.990}} '))
    assert request.path == "/v1/events"
    assert request.body == b' {"name": "click", "properties": {"value": 19.990},"id":"letter-2-7"}'
    assert request.headers[HEADER] == f"{NOW};web"


@rows(
    ("payload", "sent"),
    [
        ('{"id":"e1"}', '{"id":"e1"}'),
        ("{}", '{"id":"letter-2-7"}'),
        ('{"id":null}', '{"id":null,"id":"letter-2-7"}'),
        ('{"id":"%s"}', '{"id":"%s","id":"letter-2-7"}'),
        ("[1]", "[1]"),
        ("{broken", "{broken"),
        ("", ""),
    ],
)
def test_what_has_an_id_or_can_have_none_is_sent_as_it_was(payload: str, sent: str) -> None:
    assert replay_request(dead_letter(payload)).body == sent.encode()


def test_a_message_of_a_batch_is_wrapped_and_a_whole_batch_is_not() -> None:
    request = replay_request(dead_letter('{"type":"page"}', route="/v1/batch"))
    assert request.body == b'{"batch":[{"type":"page","messageId":"letter-2-7"}]}'
    whole = '{"batch":[{"type":"page"}]}'
    assert replay_request(dead_letter(whole, route="/v1/batch")).body == whole.encode()


def test_bytes_and_headers_come_back() -> None:
    letter = dead_letter("", payload_base64="/wA=", route="/v1/webhooks/shop", headers={"x-shopify-topic": "orders"})
    request = replay_request(letter)
    assert request.body == b"\xff\0"
    assert request.headers["x-shopify-topic"] == "orders"


@rows(
    ("members", "words"),
    [
        ({"is_cut": True, "size": 99}, "its payload was cut: 2 of 99 bytes are kept"),
        ({"route": "other"}, "is no path"),
        ({"source": "unknown"}, "nobody knows whose it is"),
    ],
)
def test_what_cannot_be_sent_says_why(members: dict[str, Any], words: str) -> None:
    with pytest.raises(CannotSendError, match=words):
        replay_request(dead_letter(**members))
    if members.get("source"):
        assert replay_request(dead_letter(**members), source="shop").headers[HEADER] == f"{NOW};shop"


@rows("value", [None, b"", b"{}", b"[]", b"\xff", b'{"reason":1}'])
def test_a_record_that_is_no_letter_is_none(value: bytes | None) -> None:
    assert decode_dead_letter(0, 0, value=value) is None


def test_the_tally_names_most_first() -> None:
    counts = DeadLetterCounts()
    for reason in ("too_deep", "missing_id", "missing_id"):
        counts.add(dead_letter(reason=reason).dead_letter)
    assert counts.total == 3
    assert [(one.reason, one.count) for one in counts.rows()] == [("missing_id", 2), ("too_deep", 1)]


def _events(collector: CollectorInMemory) -> list[dict[str, Any]]:
    """Events in an order, without ids that are made by chance; a dead letter takes no part in a sender's numbering."""
    events = collector.events()
    for event in events:
        event.pop("seq", None)
        if event["id"].split("-")[0] in ("api", "pixel", "ph", "ga4", "letter"):
            event["id"] = ""
    return sorted(events, key=lambda one: msgspec.json.encode(one))


@rows("name", some(SAMPLES, every=4))
async def test_every_format_makes_of_a_letter_what_it_makes_of_the_request(name: str, tmp_path: Path) -> None:
    for part in ("direct", "strict", "fixed"):
        (tmp_path / name / part).mkdir(parents=True)
    direct = collector_of_samples(tmp_path / name / "direct")
    await sample(name).send(direct)
    if direct.dead_letters() or not direct.events():
        return  # no sample of events that are taken
    strict = collector_of_samples(tmp_path / name / "strict", known_names=(), strict_names=True, personless_names=())
    await sample(name).send(strict)
    fixed = collector_of_samples(tmp_path / name / "fixed")
    fixed.now_ms = lambda: NOW + 2 * DAY_MS
    dead_letters = strict.sink.records(TOPICS.rejected)
    assert len(dead_letters) == len(direct.events())
    for number, record in enumerate(dead_letters):
        letter = decode_dead_letter(record.partition, number, value=record.value)
        assert letter is not None
        request = replay_request(letter)
        for _ in range(2):  # a copy has the same id
            headers = request.headers | {"X-Write-Key": fixed.keys[Scope.HISTORICAL]}
            answer = await fixed.request("POST", request.path, request.body, headers)
            assert (answer.status_code, answer.json().get("accepted")) == (200, 1), answer.text
    ids = [one["id"] for one in fixed.events()]
    assert len(ids) == 2 * len(set(ids))
    for at, log in fixed.sink.logs.items():
        fixed.sink.logs[at] = [one for one in log if b'"link":' not in one.value][::2]
    assert _events(fixed) == _events(direct)
