"""The paths of the webhooks: `/v1/webhooks/<name>`, and below it for secrets in the address."""

from __future__ import annotations

from producers.formats.port import Routes
from producers.ingest.checks import Ingest
from producers.webhooks.config import Webhooks
from producers.webhooks.endpoint import PREFIX, Endpoint
from producers.webhooks.providers import PATH_SECRET


def add_webhooks(routes: Routes, ingest: Ingest, webhooks: Webhooks) -> None:
    """A path for each hook; no secret becomes part of a label."""
    for hook in webhooks.hooks:
        endpoint, path = Endpoint(hook, ingest), PREFIX + hook.name
        routes.add("POST", path, endpoint)
        if hook.provider in PATH_SECRET:
            routes.add("POST", f"{path}/*", endpoint, label=path)
