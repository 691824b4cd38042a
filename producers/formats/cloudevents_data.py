"""The data of a CloudEvent as properties: an object as it was sent, anything else under a name. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from producers.ingest.event import EMPTY_OBJECT


def properties_of(data: Any, raw: msgspec.Raw) -> msgspec.Raw:
    """An object as it was sent, byte for byte; anything else under `data`."""
    if data is None:
        return EMPTY_OBJECT
    return raw if type(data) is dict else raw_object("data", raw)


def other_data(body: bytes, media_type: str) -> msgspec.Raw:
    """Data that is no JSON: text as text, anything else in base64."""
    if media_type.startswith("text/") or media_type.endswith(("/xml", "+xml")):
        try:
            return msgspec.Raw(orjson.dumps({"data": body.decode()}))
        except UnicodeDecodeError:
            pass
    return msgspec.Raw(msgspec.json.encode({"data_base64": body}))


def raw_object(member: str, raw: msgspec.Raw) -> msgspec.Raw:
    """An object with one member."""
    return msgspec.Raw(msgspec.json.encode({member: raw}))
