"""What every endpoint owes the collector, whatever its format."""

from __future__ import annotations

import copy
from pathlib import Path

from producers.access.keys import KeyRing
from producers.collector.routes import all_routes
from producers.formats.port import Request
from producers.formats.routing import EventRoute
from producers.http.body import GZIP, decompress
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.verdicts import Sender
from tests.support.collector import NOW, CollectorInMemory
from tests.support.rows import rows
from tests.support.samples import Sample, names, sample

ROUTES = all_routes(Ingest(contacts=Contacts(b"key")))
SAMPLES = [name for name in names("") if not name.startswith("webhook")]


def _request(sample: Sample) -> Request:
    headers = {name.lower().encode(): value.encode() for name, value in sample.headers.items()}
    body = decompress(sample.body, "", 1_000_000) if sample.body[:2] == GZIP else sample.body
    query = sample.query.encode()
    return Request(sample.method, sample.path, headers, query, body=body, raw_body=sample.body, received_at_ms=NOW)


@rows("name", SAMPLES)
def test_a_request_is_decoded_once_and_never_rewritten(name: str) -> None:
    request = _request(sample(name))
    route = (ROUTES.methods_of(request.path) or {}).get(request.method)
    if not isinstance(route, EventRoute):
        return  # no sample of events
    request.body = route.endpoint.body_of(request)
    as_it_was = copy.deepcopy(request)
    sender = route.endpoint.sender_of(request, KeyRing(None, open_sender=Sender()))
    assert request == as_it_was
    assert sender is not None
    route.endpoint.answer(route.endpoint.read(request, sender))
    assert request == as_it_was
    assert route.endpoint.body_of(request) == request.body


@rows("nothing", ["undefined", "(not set)", "null", " ", "[object Object]"])
@rows(
    ("path", "name", "event"),
    [
        ("/v1/track", "messageId", {"event": "lead", "userId": "u1"}),
        ("/e", "uuid", {"event": "lead", "distinct_id": "u1"}),
    ],
)
async def test_an_id_that_stands_for_nothing_makes_no_copies(
    tmp_path: Path, path: str, name: str, event: dict[str, str], nothing: str
) -> None:
    collector = CollectorInMemory(tmp_path)
    for _ in range(2):
        await collector.post(event | {name: nothing}, path)
    assert len({one["id"] for one in collector.events()}) == 2
