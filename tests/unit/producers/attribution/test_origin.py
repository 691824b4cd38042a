"""Where a visitor came from, out of what an event says; and that every format that has an address says it."""

from __future__ import annotations

from typing import Any

import orjson

from producers.attribution.origin import Origins
from producers.formats.formats import routes_of_formats
from producers.formats.port import Request
from producers.formats.routing import EventRoute
from producers.ingest.checks import Ingest
from producers.ingest.verdicts import Accepted, Sender
from tests.support.rows import rows

URL = "https://shop.example/sale"
TAGGED = f"{URL}?utm_source=News&utm_medium=email&utm_campaign=may&utm_content=top&utm_term=lamp&msclkid=m1"
WHOLE = {
    "source": "News",
    "medium": "email",
    "campaign": "may",
    "content": "top",
    "term": "lamp",
    "click_id": "m1",
    "click_id_type": "msclkid",
    "referrer_domain": "mail.example",
    "channel": "email",
}
BEFORE = "https://www.mail.example/inbox"


def _of(properties: dict[str, Any] | None = None, **context: Any) -> dict[str, str]:
    return dict(Origins().properties_of(properties or {}, context))


@rows(
    ("referrer", "source", "medium", "channel"),
    [
        ("https://www.google.com/", "google", "organic", "organic search"),
        ("https://yandex.ru/search/?text=lamp", "yandex", "organic", "organic search"),
        ("https://l.facebook.com/l.php?u=x", "facebook", "referral", "organic social"),
        ("android-app://com.google.android.gm/", "gmail", "referral", "email"),
        ("https://chatgpt.com/", "chatgpt.com", "referral", "ai assistants"),
        ("https://gemini.google.com/app", "google", "organic", "ai assistants"),
        ("https://blog.example/post", "blog.example", "referral", "referral"),
    ],
)
def test_the_page_before_says_it_where_no_tag_does(referrer: str, source: str, medium: str, channel: str) -> None:
    origin = _of(page={"url": URL, "referrer": referrer})
    assert (origin["source"], origin["medium"], origin["channel"]) == (source, medium, channel)


@rows(
    ("query", "source", "medium", "channel"),
    [
        ("gclid=1", "google", "cpc", "paid search"),
        ("utm_source=google&gbraid=1", "google", "cpc", "paid search"),
        ("fbclid=1", "facebook", "social", "organic social"),
        ("utm_source=facebook&utm_medium=paid&fbclid=1", "facebook", "paid", "paid social"),
        ("ttclid=1", "tiktok", "paid", "paid social"),
        ("dclid=1", "google", "display", "display"),
        ("ysclid=1", "yandex", "organic", "organic search"),
        ("utm_source=newsletter&gclid=1", "newsletter", None, "unassigned"),
    ],
)
def test_a_click_id_says_source_and_medium_where_tags_do_not(
    query: str, source: str, medium: str | None, channel: str
) -> None:
    origin = _of(page={"url": f"{URL}?{query}", "referrer": "https://www.google.com/"})
    assert (origin["source"], origin.get("medium"), origin["channel"]) == (source, medium, channel)


def test_a_page_without_a_page_before_is_direct_and_one_of_the_same_site_says_nothing() -> None:
    assert _of(page={"url": URL, "referrer": ""}) == _of(page={"url": URL, "referrer": "$direct"})
    assert _of(page={"url": URL}) == {"channel": "direct"}
    assert _of(page={"url": URL, "referrer": "https://blog.shop.example.com/"}) != {}
    assert _of(page={"url": "https://a.shop.co.uk/", "referrer": "https://b.shop.co.uk/"}) == {}
    assert dict(Origins().properties_of({}, {"page": {"url": URL}}, knows_referrer=False)) == {}


def test_later_pages_of_a_visit_have_the_touches() -> None:
    page = {"url": URL, "referrer": "https://shop.example/"}
    first = {"url": URL, "referrer": "https://www.google.com/", "at_ms": 1}
    assert _of(page=page, first_touch=first, last_touch={})["channel"] == "organic search"
    assert _of(page=page, first_touch=first, last_touch={"gclid": "1"})["channel"] == "paid search"
    assert _of(page=page, first_touch={"url": URL, "referrer": ""}, last_touch={}) == {"channel": "direct"}
    assert _of(page={"url": URL, "referrer": "https://x.com/a"}, first_touch=first)["channel"] == "organic social"


def test_what_an_event_states_itself_stays() -> None:
    stated = {"channel": "own", "source": "s", "campaign": None}
    added = _of(stated, page={"url": TAGGED, "referrer": BEFORE})
    assert added == {name: value for name, value in WHOLE.items() if name not in ("channel", "source")}


PAGE = {"url": TAGGED, "referrer": BEFORE}
SENT: list[tuple[str, str, Any, dict[bytes, bytes]]] = [
    ("POST", "/v1/events", {"id": "1", "name": "x", "anonymous_id": "v", "context": {"page": PAGE}}, {}),
    (
        "POST",
        "/v1/browser",
        {"events": [{"id": "1", "name": "x", "anonymous_id": "v", "context": {"page": PAGE, "last_touch": {}}}]},
        {},
    ),
    (
        "POST",
        "/v1/batch",
        {"batch": [{"type": "track", "event": "x", "messageId": "1", "anonymousId": "v", "context": {"page": PAGE}}]},
        {},
    ),
    (
        "POST",
        "/batch",
        {
            "batch": [
                {
                    "event": "x",
                    "distinct_id": "v",
                    "uuid": "0190c5e2-6b1e-7000-8000-000000000001",
                    "properties": {"$current_url": TAGGED, "$referrer": BEFORE},
                }
            ]
        },
        {},
    ),
    (
        "POST",
        "/mp/collect",
        {
            "client_id": "v",
            "events": [{"name": "x", "params": {"page_location": TAGGED, "page_referrer": BEFORE}}],
        },
        {},
    ),
    (
        "POST",
        "/com.snowplowanalytics.snowplow/tp2",
        {"data": [{"e": "pv", "eid": "1", "duid": "v", "url": TAGGED, "refr": BEFORE}]},
        {},
    ),
    (
        "POST",
        "/v1/cloudevents",
        {
            "specversion": "1.0",
            "id": "1",
            "source": "s",
            "type": "x",
            "anonymousid": "v",
            "data": dict(pair.split("=") for pair in TAGGED.partition("?")[2].split("&")),
        },
        {b"content-type": b"application/cloudevents+json"},
    ),
]


@rows(("method", "path", "body", "headers"), SENT)
def test_every_format_that_has_an_address_says_it(
    method: str, path: str, body: Any, headers: dict[bytes, bytes]
) -> None:
    routes = routes_of_formats(Ingest())
    route = (routes.methods_of(path) or {})[method]
    assert isinstance(route, EventRoute)
    request = Request(method, path, headers, b"", body=orjson.dumps(body), received_at_ms=1_750_000_000_000)
    (verdict,) = route.endpoint.read(request, Sender()).verdicts
    assert isinstance(verdict, Accepted)
    properties = orjson.loads(verdict.value)["properties"]
    told = WHOLE if path != "/v1/cloudevents" else {k: v for k, v in WHOLE.items() if k != "referrer_domain"}
    assert {name: properties.get(name) for name in told} == told
