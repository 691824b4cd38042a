"""The vendors: one row each. A table, no rules."""

from __future__ import annotations

from typing import Final

from producers.webhooks.amocrm import AMOCRM, KOMMO
from producers.webhooks.bitrix24 import BITRIX24
from producers.webhooks.generic import GENERIC
from producers.webhooks.hubspot import HUBSPOT
from producers.webhooks.pipedrive import PIPEDRIVE
from producers.webhooks.provider import Provider
from producers.webhooks.shopify import SHOPIFY
from producers.webhooks.stripe import STRIPE

PROVIDERS: Final[dict[str, Provider]] = {
    provider.name: provider
    for provider in (
        STRIPE,
        SHOPIFY,
        HUBSPOT,
        PIPEDRIVE,
        AMOCRM,
        KOMMO,
        BITRIX24,
        GENERIC,
    )
}
"""By the name in the file of webhooks."""
