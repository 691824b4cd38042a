"""What PostHog's clients ask for besides capturing: their settings, and flags. There are none, and the answers keep a
client from asking again. Pages only, no events."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from producers.formats.port import Request
from producers.http.messages import JSON, Answer, error_body

_SCRIPT: Final = (b"content-type", b"text/javascript; charset=utf-8")
_CACHED: Final = (b"cache-control", b"public, max-age=300")
_ARRAY: Final = re.compile(r"/array/([A-Za-z0-9_-]{1,128})/config(\.js)?/?")
"""A token of these characters can stand in a script as it is."""
_SETTINGS: Final[dict[str, Any]] = {
    "supportedCompression": ["gzip", "gzip-js"],
    "hasFeatureFlags": False,
    "defaultIdentifiedOnly": True,
    "elementsChainAsString": True,
    "autocapture_opt_out": False,
    "captureDeadClicks": False,
    "capturePerformance": False,
    "autocaptureExceptions": False,
    "errorTracking": {"autocaptureExceptions": False, "suppressionRules": []},
    "logs": {"captureConsoleLogs": False},
    "sessionRecording": False,
    "heatmaps": False,
    "surveys": False,
    "productTours": False,
    "conversations": False,
    "isAuthenticated": False,
    "toolbarParams": {},
    "toolbarVersion": "toolbar",
    "siteApps": [],
}
_FLAGS: Final = orjson.dumps(
    _SETTINGS
    | {
        "flags": {},
        "featureFlags": {},
        "featureFlagPayloads": {},
        "errorsWhileComputingFlags": False,
        "requestId": "none",
        "evaluatedAt": 0,
    }
)
_SCRIPT_BODY: Final = b"window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{};" + (
    b'window._POSTHOG_REMOTE_CONFIG["%b"]={"config":%b,"siteApps":[]};'
)


async def flags(request: Request) -> Answer:  # noqa: ARG001 - as every page
    """`/flags`, `/decide`: there are no flags."""
    return Answer(200, _FLAGS, (JSON,))


async def settings(request: Request) -> Answer:
    """`/array/<token>/config`, as JSON or as the script that sets it: everything beyond capturing is off."""
    match = _ARRAY.fullmatch(request.path)
    if match is None:
        return Answer(
            404, error_body("not_found", "there is nothing at this path", "only config and config.js"), (JSON,)
        )
    config = orjson.dumps({"token": match[1], **_SETTINGS})
    if match[2] is None:
        return Answer(200, config, (JSON, _CACHED))
    return Answer(200, _SCRIPT_BODY % (match[1].encode(), config), (_SCRIPT, _CACHED))
