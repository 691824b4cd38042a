"""Which paths the collector serves: one line for each format. Composes formats, decides nothing."""

from __future__ import annotations

import uuid

from producers.formats import segment_pages
from producers.formats.cloudevents import CloudEvents
from producers.formats.ga4 import DebugProtocol, MeasurementProtocol
from producers.formats.native import Native
from producers.formats.pixel import Pixel, RudderPixel
from producers.formats.port import Routes
from producers.formats.posthog import PostHog
from producers.formats.posthog_pages import flags, settings
from producers.formats.segment import LETTERS, SegmentBatches, SegmentSingle
from producers.formats.segment_message import TYPES, Segment
from producers.formats.snippet import Snippet
from producers.formats.snowplow import Snowplow, SnowplowPixel
from producers.ingest.checks import Ingest
from producers.snippet.builds import FILES
from producers.snippet.pages import PINNED, newest, pinned
from producers.webhooks.config import Webhooks
from producers.webhooks.routes import add_webhooks


def all_routes(ingest: Ingest, webhooks: Webhooks | None = None) -> Routes:
    """A fresh table of every format, and of the webhooks that are configured."""
    routes = Routes()
    routes.add("POST", "/v1/events", Native(ingest))
    _snippet(routes, ingest)
    _segment(routes, ingest)
    _pixel(routes, ingest)
    routes.add("POST", "/v1/cloudevents", CloudEvents(ingest))
    _snowplow(routes, ingest)
    _posthog(routes, ingest)
    _ga4(routes, ingest)
    if webhooks is not None:
        add_webhooks(routes, ingest, webhooks)
    return routes


def _snippet(routes: Routes, ingest: Ingest) -> None:
    routes.add("POST", "/v1/browser", Snippet(ingest))
    for name in FILES:
        routes.add("GET HEAD", f"/{name}", newest)
    routes.add("GET HEAD", f"{PINNED}*", pinned)


def _segment(routes: Routes, ingest: Ingest) -> None:
    segment = Segment(ingest, lambda: f"api-{uuid.uuid4()}")
    batches = SegmentBatches(segment, ingest.limits.events)
    for path in ("/v1/batch", "/v1/b", "/v1/import"):
        routes.add("POST", path, batches, label="/v1/batch")
    routes.add("POST", "/beacon/v1/batch", batches, label="/v1/batch")
    routes.add("POST", "/v1/m", segment_pages.telemetry)
    routes.add("GET", f"{segment_pages.SETTINGS}*", segment_pages.settings)
    routes.add("GET", f"{segment_pages.ANALYTICS_JS}*", segment_pages.analytics_js)
    routes.add("GET", "/sourceConfig", segment_pages.source_config)
    for kind in sorted(TYPES):
        routes.add("POST", f"/v1/{kind}", SegmentSingle(segment, kind))
    for letter, kind in LETTERS.items():
        routes.add("POST", f"/v1/{letter}", SegmentSingle(segment, kind), label=f"/v1/{kind}")


def _pixel(routes: Routes, ingest: Ingest) -> None:
    routes.add("GET POST", "/pixel.gif", Pixel(ingest))
    segment = Segment(ingest, lambda: f"pixel-{uuid.uuid4()}")
    for kind in ("track", "page"):
        routes.add("GET POST", f"/pixel/v1/{kind}", RudderPixel(segment, kind))


def _snowplow(routes: Routes, ingest: Ingest) -> None:
    snowplow, label = Snowplow(ingest), "/com.snowplowanalytics.snowplow/tp2"
    routes.add("POST", label, snowplow)
    routes.add("POST", "/com.*", snowplow, label=label)  # a `postPath` of one's own has such a vendor in front, too
    routes.add("GET", "/i", SnowplowPixel(ingest), label=label)


def _posthog(routes: Routes, ingest: Ingest) -> None:
    posthog = PostHog(ingest)
    for path in ("/batch", "/e", "/i/v0/e", "/capture", "/track", "/engage"):
        routes.add("GET POST", path, posthog)
    for path in ("/flags", "/decide"):
        routes.add("GET POST", path, flags)
    routes.add("GET", "/array/*", settings)


def _ga4(routes: Routes, ingest: Ingest) -> None:
    routes.add("POST", "/mp/collect", MeasurementProtocol(ingest))
    routes.add("POST", "/debug/mp/collect", DebugProtocol(ingest))
