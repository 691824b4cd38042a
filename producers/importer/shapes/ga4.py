"""GA4's export to BigQuery, a row an event, as the hit of the Measurement Protocol that says the same. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

_VALUES: Final = ("string_value", "int_value", "double_value", "float_value")
_COMMERCE: Final = {"transaction_id": "transaction_id", "purchase_revenue": "value", "refund_value": "value"}
_TRAFFIC: Final = {"manual_source": "source", "manual_medium": "medium", "manual_campaign_name": "campaign"}
_OF_GOOGLE: Final = {"ga_session_id": "session_id"}


def sent(cells: dict[str, Any]) -> tuple[bytes, int | None]:
    """(the hit, when it was received)."""
    micros = cells.get("event_timestamp")
    if micros is None or not str(micros).isdigit():
        return b"", None
    params = _members(cells.get("event_params"))
    commerce = cells.get("ecommerce") or {}
    for name, param in _COMMERCE.items():
        if commerce.get(name) not in (None, "", "(not set)"):
            params.setdefault(param, commerce[name])
    for name, param in _TRAFFIC.items():
        if (cells.get("collected_traffic_source") or {}).get(name):
            params.setdefault(param, cells["collected_traffic_source"][name])
    items = cells.get("items") or []
    if items and "product" not in params and isinstance(items[0], dict):
        params["product"] = items[0].get("item_name")
    hit = {
        "client_id": cells.get("user_pseudo_id"),
        "user_id": cells.get("user_id"),
        "timestamp_micros": int(str(micros)),
        "events": [{"name": cells.get("event_name"), "params": params}],
    }
    return orjson.dumps({name: value for name, value in hit.items() if value is not None}), int(str(micros)) // 1000


def _members(listed: Any) -> dict[str, Any]:
    """`[{"key", "value": {"string_value": ...}}]` as members."""
    members: dict[str, Any] = {}
    for each in listed or []:
        values = each.get("value") or {}
        value = next((values[name] for name in _VALUES if values.get(name) is not None), None)
        if value is not None and each.get("key"):
            members[_OF_GOOGLE.get(each["key"], each["key"])] = value
    return members
