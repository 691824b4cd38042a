"""The vendors: how each proves who it is, what its deliveries tell, and what its stages mean by default. A table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from producers.webhooks import amocrm, bitrix24, generic, hubspot, pipedrive, shopify, stripe
from producers.webhooks.told import Arrived, Delivery


@dataclass(frozen=True, slots=True)
class Provider:
    """A vendor."""

    read: Callable[[Arrived], Delivery]
    stages: Mapping[str, str | None]
    """The stage map without anything configured; None is a stage of no step of a funnel."""
    headers: tuple[bytes, ...] = ()
    """Headers without which a body cannot be read: dead letters keep them."""


PROVIDERS: Final[dict[str, Provider]] = {
    "stripe": Provider(stripe.read, stripe.STAGES),
    "shopify": Provider(shopify.read, shopify.STAGES, shopify.HEADERS),
    "hubspot": Provider(hubspot.read, hubspot.STAGES),
    "pipedrive": Provider(pipedrive.read, pipedrive.STAGES),
    "amocrm": Provider(amocrm.read, amocrm.STAGES),
    "kommo": Provider(amocrm.read, amocrm.STAGES),
    "bitrix24": Provider(bitrix24.read, bitrix24.STAGES),
    "generic": Provider(generic.read, generic.STAGES, generic.HEADERS),
}
PATH_SECRET: Final = frozenset({"pipedrive", "amocrm", "kommo"})
"""Vendors that sign nothing: the secret is part of the address."""
ENRICHED: Final = frozenset({"amocrm", "kommo", "bitrix24", "hubspot"})
"""Vendors whose hooks carry only ids, and whose API has the rest."""
