"""The APIs of the hooks that have access to one. Composes, decides nothing."""

from __future__ import annotations

from functools import partial

from producers.webhooks.config import Api, Hook, Webhooks
from producers.webhooks.crm import Crm, CrmHttp
from producers.webhooks.crm_amocrm import AmoCrm
from producers.webhooks.crm_bitrix24 import Bitrix24
from producers.webhooks.crm_hubspot import HubSpot
from producers.webhooks.enricher_metrics import EnricherMetrics


def crms_of(webhooks: Webhooks, metrics: EnricherMetrics) -> dict[str, Crm]:
    """By the name of the hook."""
    return {hook.name: _crm(hook, hook.api, metrics) for hook in webhooks.hooks if hook.api is not None}


def _crm(hook: Hook, api: Api, metrics: EnricherMetrics) -> Crm:
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
    if hook.provider == "bitrix24":
        return Bitrix24(http)
    return HubSpot(http) if hook.provider == "hubspot" else AmoCrm(http)
