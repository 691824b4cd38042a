"""The APIs of the hooks that have access to one. Composes, decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from producers.webhooks.config import Api, Hook, Webhooks
from producers.webhooks.crm import Crm, Details
from producers.webhooks.crm_http import CrmHttp
from producers.webhooks.delivery import WebhookEvent
from producers.webhooks.enricher_metrics import EnricherMetrics


@dataclass(frozen=True, slots=True)
class ConnectedCrm:
    """A hook's CRM, and the connections to it."""

    crm: Crm
    http: CrmHttp

    async def details(self, event: WebhookEvent) -> Details | None:
        """What the CRM knows of the event. Raises CrmUnavailableError."""
        return await self.crm.details(event)

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()


def crms_of(webhooks: Webhooks, metrics: EnricherMetrics) -> dict[str, ConnectedCrm]:
    """By the name of the hook."""
    return {hook.name: _connected(hook, hook.api, metrics=metrics) for hook in webhooks.hooks if hook.api is not None}


def _connected(hook: Hook, api: Api, *, metrics: EnricherMetrics) -> ConnectedCrm:
    headers = {"accept": "application/json", "user-agent": "funnelcast-enricher"}
    if api.token is not None:
        headers["authorization"] = f"Bearer {api.token.get_secret_value()}"
    http = CrmHttp(
        base=api.url.get_secret_value(),
        headers=headers,
        rate=hook.rate,
        timeout_seconds=api.milliseconds("timeout") / 1000,
        keep_seconds=api.milliseconds("keep") / 1000,
        counted=partial(metrics.answered, hook.name),
    )
    assert hook.vendor.api is not None  # noqa: S101 - the file of webhooks allows an api only there
    return ConnectedCrm(hook.vendor.api(http), http)
