"""The formats: one row each. A table, no rules."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from producers.formats.cloudevents import CLOUDEVENTS
from producers.formats.ga4 import GA4
from producers.formats.native import NATIVE
from producers.formats.pixel import PIXEL
from producers.formats.port import Endpoint, Format
from producers.formats.posthog import POSTHOG
from producers.formats.routing import Routes
from producers.formats.segment import SEGMENT
from producers.formats.snippet import SNIPPET
from producers.formats.snowplow import SNOWPLOW
from producers.ingest.checks import Ingest

FORMATS: Final[dict[str, Format]] = {
    client.name: client
    for client in (
        NATIVE,
        SNIPPET,
        SEGMENT,
        PIXEL,
        CLOUDEVENTS,
        SNOWPLOW,
        POSTHOG,
        GA4,
    )
}
"""By name."""


def routes_of_formats(ingest: Ingest) -> Routes:
    """A new table of the paths of every format."""
    routes = Routes()
    for client in FORMATS.values():
        routes.add_format(client, ingest)
    return routes


def endpoint_of(label: str) -> Endpoint | None:
    """The endpoint that a route's label names, to ask about its dead letters; None where no format has it."""
    return _endpoints(tuple(FORMATS.values())).endpoint_of(label)


@lru_cache(maxsize=4)
def _endpoints(formats: tuple[Format, ...]) -> Routes:
    routes, ingest = Routes(), Ingest()
    for client in formats:
        routes.add_format(client, ingest)
    return routes
