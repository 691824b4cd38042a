"""The paths of the webhooks: `/v1/webhooks/<name>`, and below it for secrets in the address."""

from __future__ import annotations

from producers.formats.port import Routes
from producers.ingest.checks import Ingest
from producers.webhooks.config import Webhooks
from producers.webhooks.endpoint import Endpoint


def add_webhooks(routes: Routes, ingest: Ingest, webhooks: Webhooks) -> None:
    """A path for each hook; no secret becomes part of a label."""
    for hook in webhooks.hooks:
        endpoint = Endpoint(hook, ingest)
        routes.add("POST", hook.path, endpoint)
        if hook.vendor.secret_in_path:
            routes.add("POST", f"{hook.path}/*", endpoint, label=hook.path)
