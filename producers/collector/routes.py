"""Which paths the collector serves: every format, the snippet's files, the webhooks. Composes, decides nothing."""

from __future__ import annotations

from producers.formats.formats import routes_of_formats
from producers.formats.port import Page
from producers.formats.routing import Routes
from producers.ingest.checks import Ingest
from producers.snippet.builds import FILES
from producers.snippet.pages import PINNED, newest, pinned
from producers.webhooks.config import Webhooks
from producers.webhooks.endpoint import HookEndpoint


def all_routes(ingest: Ingest, webhooks: Webhooks | None = None) -> Routes:
    """A new table of every format, and of the webhooks that are configured."""
    routes = routes_of_formats(ingest)
    for name in FILES:
        routes.add_page(Page("GET", f"/{name}", newest))
    routes.add_page(Page("GET", f"{PINNED}*", pinned))
    for hook in () if webhooks is None else webhooks.hooks:
        routes.add(HookEndpoint(hook, ingest))
    return routes
