"""funnelcast.js as it is served and pasted, and what the collector makes of its envelopes (browsers: tests/browser)."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from producers.access.day_ids import DAY_MS, DayIds
from producers.ingest.verdicts import Scope
from producers.snippet import builds
from producers.snippet.builds import FILES, current
from tests.support.collector import NOW, CollectorInMemory
from tests.support.rows import rows

MAX_BYTES = 3_400
"""What did not fit into 3,000: every spelling of a tag, repaired text, refused batches, cookieless, debug, engaged."""
ROOT = Path(__file__).parents[4]
LINK = {"url": "https://shop.example/?utm_source=news", "title": "Shop", "referrer": ""}


@pytest.fixture
def collector(tmp_path: Path) -> CollectorInMemory:
    return CollectorInMemory(tmp_path)


def envelope(key: str, *events: dict[str, Any], sent_at_ms: int = NOW, **more: Any) -> bytes:
    return json.dumps({"writeKey": key, "sent_at_ms": sent_at_ms, "events": events, **more}).encode()


def view(number: int = 1, **members: Any) -> dict[str, Any]:
    event = {"id": f"v-{number}", "name": "page_view", "occurred_at_ms": NOW, "anonymous_id": "a", "properties": {}}
    return event | {"context": {"page": LINK}} | members


async def send(collector: CollectorInMemory, *events: dict[str, Any], **options: Any) -> Any:
    body = envelope(collector.keys[Scope.BROWSER], *events, **options)
    answer = await collector.post(body, "/v1/browser", scope=None, headers={"Content-Type": "text/plain"})
    return answer.status_code, answer.json()


# -- envelopes -------------------------------------------------------------------------------------------------------


async def test_events_of_an_envelope_are_stored_under_the_key_in_its_body(collector: CollectorInMemory) -> None:
    assert await send(collector, view(1), view(2, name="click")) == (200, {"success": True})
    assert [(one["id"], one["name"], one["source"]) for one in collector.events()] == [
        ("v-1", "page_view", "source-browser"),
        ("v-2", "click", "source-browser"),
    ]
    assert collector.events()[0]["context"] == {"page": LINK}


async def test_a_wrong_clock_is_corrected_by_the_time_of_sending(collector: CollectorInMemory) -> None:
    hour = 3_600_000
    await send(collector, view(occurred_at_ms=NOW + hour - 7_000), sent_at_ms=NOW + hour)
    assert collector.events()[0]["occurred_at_ms"] == NOW - 7_000
    assert collector.metric("times_clamped_total") == 0


async def test_an_event_that_waited_offline_for_days_keeps_its_time(collector: CollectorInMemory) -> None:
    await send(collector, view(occurred_at_ms=NOW - 6 * 86_400_000))
    assert collector.events()[0]["occurred_at_ms"] == NOW - 6 * 86_400_000


async def test_a_useless_clock_gives_way_to_reception(collector: CollectorInMemory) -> None:
    await send(collector, view(occurred_at_ms=0), sent_at_ms=5)
    assert collector.events()[0]["occurred_at_ms"] == NOW
    assert collector.metric("times_clamped_total") == 1


async def test_the_origin_of_an_event_is_that_of_its_touches_where_it_states_none(collector: CollectorInMemory) -> None:
    touch = {"utm_source": "news", "utm_medium": "email", "utm_campaign": "may"}
    page = {"url": "https://shop.example.com/cart", "referrer": "https://shop.example.com/"}
    await send(
        collector,
        view(1, context={"page": page, "last_touch": touch}),
        view(2, context={"page": page, "last_touch": {"gclid": "x"}}, properties={"campaign": "own"}),
        view(3, context={"page": page, "last_touch": {}, "first_touch": touch}),
    )
    told = [{name: one["properties"].get(name) for name in ("channel", "campaign")} for one in collector.events()]
    assert told == [
        {"channel": "email", "campaign": "may"},
        {"channel": "paid search", "campaign": "own"},
        {"channel": "email", "campaign": "may"},
    ]


async def test_numbers_stay_as_they_were_sent_and_contacts_become_ids(collector: CollectorInMemory) -> None:
    raw = envelope(collector.keys[Scope.BROWSER], view(properties={"email": "Ann@example.com"}))
    raw = raw.replace(b'"email"', b'"value": 19.990, "email"')
    assert (await collector.post(raw, "/v1/browser", scope=None)).status_code == 200
    assert b'"value":19.990' in b"".join(one.value for one in collector.sink.records("funnelcast.t.events"))
    (event,) = collector.events()
    assert event["contact_id"]
    assert "email" not in event["properties"]


async def test_one_bad_event_costs_no_other(collector: CollectorInMemory) -> None:
    broken: list[Any] = [7, view(2, name=""), view(3, occurred_at_ms="noon"), view(4, context=[])]
    assert (await send(collector, view(1), *broken))[0] == 200
    assert [one["id"] for one in collector.events()] == ["v-1"]
    reasons = [one["reason"] for one in collector.dead_letters()]
    assert sorted(reasons) == ["missing_name", "not_an_object", "wrong_type", "wrong_type"]


async def test_a_single_event_is_read_as_its_dead_letter_holds_it(collector: CollectorInMemory) -> None:
    answer = await collector.post(view(1), "/v1/browser", scope=Scope.BROWSER)
    assert answer.status_code == 200
    assert [one["id"] for one in collector.events()] == ["v-1"]


@rows("events", ['"x"', "[]", "[{]", "7"])
async def test_what_is_no_envelope_is_refused_whole(collector: CollectorInMemory, events: str) -> None:
    body = f'{{"writeKey":"{collector.keys[Scope.BROWSER]}","events":{events}}}'.encode()
    answer = await collector.post(body, "/v1/browser", scope=Scope.BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_an_envelope_of_too_many_events_and_one_without_a_key(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path)
    events = [view(number) for number in range(2_001)]
    assert (await send(collector, *events))[1]["code"] == "too_many_events"
    answer = await collector.post(envelope("fcb_wrong", view()), "/v1/browser", scope=None)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_key")


# -- nothing stored in the browser ------------------------------------------------------------------------------------


def nameless(number: int) -> dict[str, Any]:
    return {key: value for key, value in view(id=f"n{number}").items() if key != "anonymous_id"}


async def test_a_visitor_without_storage_is_one_for_a_day_and_a_site(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path, {"day_ids": DayIds(tmp_path / "state").of})
    page = {"Origin": "https://shop.example", "User-Agent": "Firefox"}

    async def visit(number: int, address: str = "203.0.113.5", **headers: str) -> str:
        collector.address = address
        body = envelope(collector.keys[Scope.BROWSER], nameless(number), cookieless=True)
        answer = await collector.post(body, "/v1/browser", scope=None, headers=page | headers)
        assert answer.json() == {"success": True}
        return next(str(one["anonymous_id"]) for one in collector.events() if one["id"] == f"n{number}")

    first = await visit(1)
    assert first.startswith("day-")
    assert "203.0.113" not in str(collector.events())
    assert await visit(2) == first
    others = [await visit(3, "203.0.113.6"), await visit(4, Origin="https://b.example")]
    others.append(await visit(5, **{"User-Agent": "x"}))
    assert len({first, *others}) == 4
    again = CollectorInMemory(tmp_path, {"day_ids": DayIds(tmp_path / "state").of})  # another process of this day
    body = envelope(again.keys[Scope.BROWSER], nameless(6), cookieless=True)
    again.address = "203.0.113.5"
    await again.post(body, "/v1/browser", scope=None, headers=page)
    assert again.events()[0]["anonymous_id"] == first
    collector.now_ms = lambda: NOW + DAY_MS
    assert await visit(7) != first
    assert len(list((tmp_path / "state").glob("*salt*"))) == 1, "yesterday's salt is gone"
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


async def test_without_the_word_a_visitor_gets_no_id_and_a_stated_one_counts(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path, {"day_ids": DayIds(tmp_path / "state").of})
    key = collector.keys[Scope.BROWSER]
    await collector.post(envelope(key, nameless(1)), "/v1/browser", scope=None)
    assert [one["reason"] for one in collector.dead_letters()] == ["missing_person"]
    await collector.post(envelope(key, view(anonymous_id="v9"), cookieless=True), "/v1/browser", scope=None)
    assert collector.events()[0]["anonymous_id"] == "v9"


async def test_a_page_that_debugs_is_told_what_became_of_each_event(tmp_path: Path) -> None:
    collector = CollectorInMemory(tmp_path)
    body = envelope(collector.keys[Scope.BROWSER], view(), {"id": "x"}, debug=True)
    results = (await collector.post(body, "/v1/browser", scope=None)).json()["results"]
    assert [one["status"] for one in results] == ["accepted", "rejected"]
    assert results[1]["reason"] == "missing_name"


# -- files -----------------------------------------------------------------------------------------------------------


def test_the_script_is_small() -> None:
    size = len(gzip.compress(current().files["funnelcast.js"].body, 9, mtime=0))
    assert size <= MAX_BYTES, f"funnelcast.js has {size} bytes compressed; {MAX_BYTES} are promised"
    assert f"{size:,} bytes compressed" in (ROOT / "docs" / "snippet.md").read_text()


async def test_a_released_build_is_served_after_the_next_one(
    collector: CollectorInMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = current().name
    for name in FILES:
        for directory in ("built", f"retired/{old}"):
            (tmp_path / directory).mkdir(parents=True, exist_ok=True)
            (tmp_path / directory / name).write_bytes(current().files[name].body)
    (tmp_path / "built" / "funnelcast.js").write_text("// another")
    before = current().path("funnelcast.js")
    monkeypatch.setattr(builds, "_HERE", tmp_path)
    for cached in (builds.current, builds.by_name):
        cached.cache_clear()
    try:
        assert current().name != old
        assert (await collector.request("GET", current().path("funnelcast.js"))).text == "// another"
        assert len((await collector.request("GET", before)).content) > 5_000
    finally:
        monkeypatch.undo()
        for cached in (builds.current, builds.by_name):
            cached.cache_clear()


def test_retired_builds_bear_their_names() -> None:
    retired = Path(builds.__file__).parent / "retired"
    assert {one.name for one in retired.glob("*")} <= builds.by_name().keys()


def test_the_script_asks_for_no_eval_and_names_no_other_host() -> None:
    text = current().files["funnelcast.js"].body.decode("ascii")
    assert not re.search(r"\beval\b|new Function|https?://|\.innerHTML|\.style\b", text)


@rows("name", FILES)
async def test_a_pinned_file_is_served_for_ever_with_its_hash(collector: CollectorInMemory, name: str) -> None:
    file = current().files[name]
    answer = await collector.request("GET", current().path(name), headers={"Origin": "https://shop.example"})
    assert answer.status_code == 200
    assert answer.content == file.body
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers.get_list("cross-origin-resource-policy") == ["cross-origin"]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    digest = base64.b64encode(hashlib.sha384(answer.content).digest()).decode()
    assert file.integrity == f"sha384-{digest}"
    plain = await collector.request("GET", current().path(name), headers={"Accept-Encoding": "identity"})
    assert plain.content == file.body
    assert "content-encoding" not in plain.headers
    assert plain.headers["access-control-allow-origin"] == "*"


async def test_the_newest_file_has_a_short_life_and_an_etag(collector: CollectorInMemory) -> None:
    answer = await collector.request("GET", "/funnelcast.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=300"
    again = await collector.request("GET", "/funnelcast.js", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@rows("path", ["1-000000000000/funnelcast.js", f"{current().name}/other.js", "", "../funnelcast.js"])
async def test_another_build_is_not_found(collector: CollectorInMemory, path: str) -> None:
    answer = await collector.request("GET", f"/v1/snippet/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "immutable" not in answer.headers.get("cache-control", "")


# -- the command -----------------------------------------------------------------------------------------------------


class Scripts(HTMLParser):
    """Attributes of the script tags of a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.found.append(dict(attrs))


def ask(*arguments: str) -> Any:
    from funnelcast.commands.snippet import app

    return CliRunner().invoke(app, ["--key", 'fcb_"k', *arguments])


def test_the_command_prints_stub_address_and_hash() -> None:
    more = ("--attribute", "manual", "--attribute", "params=q page")
    done = ask("--url", "https://collect.example.com/", "--nonce", "n0", "--consent", "pending", *more)
    assert done.exit_code == 0
    stub, script = Scripts(done.output).found
    assert stub == {"nonce": "n0"}
    assert script == {
        "async": None,
        "nonce": "n0",
        "src": f"https://collect.example.com{current().path('funnelcast.js')}",
        "integrity": current().files["funnelcast.js"].integrity,
        "crossorigin": "anonymous",
        "data-key": 'fcb_"k',
        "data-consent": "pending",
        "data-manual": "",
        "data-params": "q page",
    }


def test_the_command_prints_json() -> None:
    snippet = json.loads(ask("--url", "http://127.0.0.1:8080", "--no-stub", "--json").output)
    assert snippet["src"].endswith(current().path("funnelcast.js"))
    assert snippet["module"]["integrity"] == current().files["funnelcast.mjs"].integrity
    assert len(Scripts(snippet["html"]).found) == 1


def test_an_attribute_that_is_none_is_refused() -> None:
    assert ask("--url", "https://collect.example.com", "--attribute", 'x"=1').exit_code == 2


@rows("url", ["collect.example.com", "https://example.com/collect", "ftp://example.com", "https://"])
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    assert ask("--url", url).exit_code == 2
