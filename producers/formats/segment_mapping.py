"""What Segment's messages call a thing, and what this product calls it: names of events, money, orders, products.

Tables and pure functions. RawMembers are only ever added to what was sent, and only where they are absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from schemas.names import normalise_name
from schemas.properties import AMOUNTS

V2_NAMES: Final = {
    "searched_products": "products_searched",
    "viewed_product_category": "product_list_viewed",
    "viewed_product_list": "product_list_viewed",
    "filtered_product_list": "product_list_filtered",
    "viewed_promotion": "promotion_viewed",
    "clicked_promotion": "promotion_clicked",
    "clicked_product": "product_clicked",
    "viewed_product": "product_viewed",
    "added_product": "product_added",
    "removed_product": "product_removed",
    "shared_product": "product_shared",
    "reviewed_product": "product_reviewed",
    "added_product_to_wishlist": "product_added_to_wishlist",
    "viewed_cart": "cart_viewed",
    "shared_cart": "cart_shared",
    "started_checkout": "checkout_started",
    "viewed_checkout_step": "checkout_step_viewed",
    "completed_checkout_step": "checkout_step_completed",
    "entered_payment_info": "payment_info_entered",
    "entered_coupon": "coupon_entered",
    "applied_coupon": "coupon_applied",
    "denied_coupon": "coupon_denied",
    "removed_coupon": "coupon_removed",
    "completed_order": "order_completed",
    "updated_order": "order_updated",
    "refunded_order": "order_refunded",
    "cancelled_order": "order_cancelled",
}
"""Segment's first e-commerce specification put the verb first; the second one, which the presets know, last."""
Added = Mapping[str, Any]
"""RawMembers for the properties, where these have none of the name; None adds nothing."""
NOTHING_ADDED: Final[Added] = MappingProxyType({})
_AMOUNTS: Final = frozenset(AMOUNTS)
_ORDER_IDS: Final = ("orderId", "orderID", "transaction_id", "transactionId")
_V1_ORDER_IDS: Final = (*_ORDER_IDS, "id")
_COMMERCE: Final = frozenset({"revenue", "total", "products", *_ORDER_IDS})
_PRODUCT_NAMES: Final = ("name", "sku", "product_id", "productId", "id")
_V1_ORDERS: Final = frozenset({"completed_order", "updated_order", "refunded_order", "cancelled_order"})
RawMembers = dict[str, msgspec.Raw]
_members = msgspec.json.Decoder(RawMembers)
name_of = lru_cache(maxsize=4096)(normalise_name)


class _Order(msgspec.Struct, gc=False):
    revenue: msgspec.Raw = msgspec.Raw(b"null")
    total: msgspec.Raw = msgspec.Raw(b"null")


_order = msgspec.json.Decoder(_Order)


def under(own: bytes, shared: bytes) -> bytes:
    """`own` with the members of `shared` that it has not."""
    if shared == b"{}":
        return own
    if own == b"{}":
        return shared
    return msgspec.json.encode({**_members.decode(shared), **_members.decode(own)})


def without(raw: bytes, names: frozenset[str]) -> bytes:
    """The object without the members of these names."""
    return msgspec.json.encode({name: value for name, value in _members.decode(raw).items() if name not in names})


def commerce(name: str, raw: msgspec.Raw, *, properties: Mapping[str, Any]) -> Added:
    """`value`, `order_id` and `product` of a track by the names that Segment's specification gives them."""
    if _COMMERCE.isdisjoint(properties) and not name.startswith("product_") and name not in V2_NAMES:
        return NOTHING_ADDED
    added: dict[str, Any] = {}
    if ("revenue" in properties or "total" in properties) and _AMOUNTS.isdisjoint(properties):
        added["value"] = _amount(raw, properties)
    if "order_id" not in properties:
        added["order_id"] = _first(properties, _V1_ORDER_IDS if name in _V1_ORDERS else _ORDER_IDS)
    if "product" not in properties and ("products" in properties or "product" in name):
        added["product"] = _product(name, properties)
    return added


def _amount(raw: msgspec.Raw, properties: Mapping[str, Any]) -> msgspec.Raw | None:
    """Revenue, else total, digit by digit as it was sent."""
    if properties.get("revenue") is not None:
        return _order.decode(raw).revenue
    return None if properties.get("total") is None else _order.decode(raw).total


def _product(name: str, properties: Mapping[str, Any]) -> str | int | None:
    """The product of an event that has one: of its only line, or of an event about a product. Orders of several are of
    no single product."""
    lines = properties.get("products")
    if isinstance(lines, list):
        return _first(lines[0], _PRODUCT_NAMES) if len(lines) == 1 and isinstance(lines[0], dict) else None
    is_of_product = name.startswith("product_") and not name.startswith("product_list_")
    return _first(properties, _PRODUCT_NAMES) if is_of_product or name in _V1_PRODUCTS else None


_V1_PRODUCTS: Final = frozenset(
    old for old, new in V2_NAMES.items() if new.startswith("product_") and not new.startswith("product_list_")
)


def _first(members: Mapping[str, Any], names: tuple[str, ...]) -> str | int | None:
    for name in names:
        value = members.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return value
    return None
