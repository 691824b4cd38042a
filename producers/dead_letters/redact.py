"""Secrets out of what is kept of a request: keys, tokens and passwords in JSON and in forms. Pure.

By name, because a key looks like any other text; and funnelcast's own keys wherever they stand.
"""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = rb"(?:write_?key|api_?key|[a-z_]*(?:token|secret)|password)"
_JSON: Final = re.compile(rb'("' + _NAMES + rb'"\s*:\s*")(?:[^"\\]|\\.)*', re.IGNORECASE | re.DOTALL)
_WORD: Final = re.compile(rb'("' + _NAMES + rb'"\s*:\s*)(?!(?:null|true|false)\b)[a-z_][^\s,\]}"]*', re.IGNORECASE)
"""What no parser takes, and the collector repairs: a dead letter holds it as it was sent."""
_FORM: Final = re.compile(
    rb"((?:^|[?&])(?:[a-z_]{1,32}(?:\[|%5B))?(?:" + _NAMES + rb"|k|key)(?:\]|%5D)?=)[^&\s\"]*", re.IGNORECASE
)
"""`writeKey=...`, and `auth[application_token]=...` as Bitrix24 writes it."""
_OWN: Final = re.compile(rb"fc[bshr]_[A-Za-z0-9_-]{40,}")
_HINTS: Final = re.compile(rb"key|token|secret|password|fc[bshr]_|(?:^|[?&])k=", re.IGNORECASE)


def redact(payload: bytes) -> bytes:
    """The payload with `***` in the place of what opens doors."""
    if not _HINTS.search(payload):
        return payload
    payload = _JSON.sub(rb"\1***", payload)
    payload = _WORD.sub(rb'\1"***"', payload)
    payload = _FORM.sub(rb"\1***", payload)
    return _OWN.sub(b"***", payload)
