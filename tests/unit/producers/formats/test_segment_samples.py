"""What the real clients of Segment, RudderStack and CloudEvents sent, and pixels: recorded, and read as intended."""

from __future__ import annotations

from pathlib import Path

from tests.support.rows import rows
from tests.support.samples import SOURCE, collector_of_samples, names, sample

FORMATS = ("segment-", "rudderstack-", "cloudevents-", "pixel-", "posthog-node-")
EXPECTED = {
    "cloudevents-batch": ["com.example.order.paid"] * 3,
    "cloudevents-node-binary": ["page"],
    "cloudevents-node-structured": ["identify"],
    "cloudevents-python-binary": ["com.example.order.paid"],
    "cloudevents-python-structured": ["com.example.order.paid"],
    "pixel-email": ["email_opened"],
    "pixel-impression": ["impression"],
    "pixel-rudderstack-page": ["page"],
    "pixel-rudderstack-track": ["order_completed"],
    "posthog-node-batch": ["page_view", "product_viewed", "identify", "alias", "group", "order_completed"],
    "rudderstack-browser-beacon": ["product_added"],
    "rudderstack-browser-alias": ["alias"],
    "rudderstack-browser-group": ["group"],
    "rudderstack-browser-identify": ["identify"],
    "rudderstack-browser-page": ["page"],
    "rudderstack-browser-track": ["order_completed"],
    "rudderstack-node-batch": ["product_viewed", "identify", "alias", "group", "order_completed"],
    "rudderstack-python-alias": ["alias"],
    "rudderstack-python-identify": ["identify"],
    "rudderstack-python-track": ["order_completed"],
    "segment-browser-alias": ["alias"],
    "segment-browser-group": ["group"],
    "segment-browser-identify": ["identify"],
    "segment-browser-page": ["page"],
    "segment-browser-track": ["order_completed"],
    "segment-node-batch": ["page", "product_viewed", "identify", "alias", "group"],
    "segment-python-alias-gzip": ["alias"],
    "segment-python-group-gzip": ["group"],
    "segment-python-identify-gzip": ["identify"],
    "segment-python-track": ["order_completed"],
}


def test_every_sample_is_looked_at() -> None:
    assert names(*FORMATS) == sorted(EXPECTED)


@rows("name", EXPECTED)
async def test_a_sample_is_its_events_and_the_same_when_it_is_sent_again(name: str, tmp_path: Path) -> None:
    collector = collector_of_samples(tmp_path)
    for _ in range(2):
        answer = await sample(name).send(collector)
        assert answer.status_code == 200, answer.text
    events = collector.events()
    assert sorted(one["name"] for one in events) == sorted(EXPECTED[name] * 2)
    assert {one["source"] for one in events} == {SOURCE}
    assert collector.metric("events_total", outcome="rejected") == 0
    if name != "pixel-email" and name != "pixel-rudderstack-page":  # they bring no id
        assert len({one["id"] for one in events}) == len(EXPECTED[name])
    assert all("@example.com" not in str(one["properties"]) for one in events)
