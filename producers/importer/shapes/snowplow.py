"""Snowplow's enriched events (TSV, 131 columns) and bad rows (JSON), as a tracker would have sent them. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

from producers.importer.shapes.moments import moment_ms

_NAMES: Final = """
    app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id name_tracker v_tracker
    v_collector v_etl user_id user_ipaddress user_fingerprint domain_userid domain_sessionidx network_userid
    geo_country geo_region geo_city geo_zipcode geo_latitude geo_longitude geo_region_name ip_isp
    ip_organization ip_domain ip_netspeed page_url page_title page_referrer page_urlscheme page_urlhost
    page_urlport page_urlpath page_urlquery page_urlfragment refr_urlscheme refr_urlhost refr_urlport
    refr_urlpath refr_urlquery refr_urlfragment refr_medium refr_source refr_term mkt_medium mkt_source mkt_term
    mkt_content mkt_campaign contexts se_category se_action se_label se_property se_value unstruct_event
    tr_orderid tr_affiliation tr_total tr_tax tr_shipping tr_city tr_state tr_country ti_orderid ti_sku ti_name
    ti_category ti_price ti_quantity pp_xoffset_min pp_xoffset_max pp_yoffset_min pp_yoffset_max useragent
    br_name br_family br_version br_type br_renderengine br_lang br_features_pdf br_features_flash
    br_features_java br_features_director br_features_quicktime br_features_realplayer br_features_windowsmedia
    br_features_gears br_features_silverlight br_cookies br_colordepth br_viewwidth br_viewheight os_name
    os_family os_manufacturer os_timezone dvce_type dvce_ismobile dvce_screenwidth dvce_screenheight doc_charset
    doc_width doc_height tr_currency tr_total_base tr_tax_base tr_shipping_base ti_currency ti_price_base
    base_currency geo_timezone mkt_clickid mkt_network etl_tags dvce_sent_tstamp refr_domain_userid
    refr_dvce_tstamp derived_contexts domain_sessionid derived_tstamp event_vendor event_name event_format
    event_version event_fingerprint true_tstamp
"""
COLUMNS: Final = tuple(_NAMES.split())
"""Of an enriched event, in their order."""
_KINDS: Final = {
    "page_view": "pv",
    "page_ping": "pp",
    "struct": "se",
    "unstruct": "ue",
    "transaction": "tr",
    "transaction_item": "ti",
}
_FIELDS: Final = {
    "event_id": "eid", "user_id": "uid", "domain_userid": "duid", "network_userid": "nuid", "domain_sessionid": "sid",
    "domain_sessionidx": "vid", "app_id": "aid", "platform": "p", "page_url": "url", "page_title": "page",
    "page_referrer": "refr", "useragent": "ua", "br_lang": "lang", "os_timezone": "tz", "contexts": "co",
    "unstruct_event": "ue_pr", "se_category": "se_ca", "se_action": "se_ac", "se_label": "se_la",
    "se_property": "se_pr", "se_value": "se_va", "tr_orderid": "tr_id", "tr_affiliation": "tr_af",
    "tr_total": "tr_tt", "tr_tax": "tr_tx", "tr_shipping": "tr_sh", "tr_city": "tr_ci", "tr_state": "tr_st",
    "tr_country": "tr_co", "tr_currency": "tr_cu", "ti_orderid": "ti_id", "ti_sku": "ti_sk", "ti_name": "ti_nm",
    "ti_category": "ti_ca", "ti_price": "ti_pr", "ti_quantity": "ti_qu", "ti_currency": "ti_cu",
}  # fmt: skip
_TIMES: Final = ("true_tstamp", "derived_tstamp", "dvce_created_tstamp", "collector_tstamp")


def sent(cells: dict[str, Any]) -> tuple[bytes, int | None]:
    """(a tracker's post, when it was received)."""
    if "schema" in cells and isinstance(cells.get("data"), dict):
        return _bad_row(cells["data"], str(cells["schema"]))
    at_ms = next((found for name in _TIMES if (found := moment_ms(cells.get(name))) is not None), None)
    fields = {field: cells[column] for column, field in _FIELDS.items() if cells.get(column)}
    fields["e"] = _KINDS.get(str(cells.get("event")), str(cells.get("event")))
    received = moment_ms(cells.get("collector_tstamp"))
    fields["ttm"] = "" if at_ms is None else str(at_ms)
    return orjson.dumps({"data": [fields]}), at_ms if received is None or at_ms is None else max(received, at_ms)


def _bad_row(data: dict[str, Any], schema: str) -> tuple[bytes, int | None]:
    """What the tracker sent, where the row still has it. Raises ValueError where not."""
    payload = data.get("payload")
    raw = payload.get("raw") if isinstance(payload, dict) else None
    parameters = raw.get("parameters") if isinstance(raw, dict) else None
    if not isinstance(parameters, list):
        kind = schema.split("/")[1] if schema.count("/") > 1 else schema
        raise ValueError(f"the bad row ({kind}) no longer holds what was sent")
    fields = {each["name"]: each.get("value") for each in parameters}
    return orjson.dumps({"data": [fields]}), moment_ms(raw.get("timestamp") if isinstance(raw, dict) else None)
