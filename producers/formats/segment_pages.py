"""What browser clients of Segment and RudderStack ask for before they send: settings, not events. Pure.

A settings page repeats the write key that it was asked with and names this collector. It does not say whether the key
is valid; Segment's own does not either.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import orjson

from producers.formats.port import SUCCESS_ANSWER, Request
from producers.http.messages import JSON, Answer, Headers, error_body

SETTINGS: Final = "/v1/projects/"
ANALYTICS_JS: Final = "/analytics.js/v1/"
_KEY: Final = re.compile(r"[A-Za-z0-9_.~-]{1,200}")
_HOST: Final = re.compile(rb"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_LOOPBACK: Final = re.compile(rb"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
_NO_STORE: Final = (b"cache-control", b"no-store")
"""The answer names the host that was asked: a shared cache would hand one host's name to another."""


async def settings(request: Request) -> Answer:
    """`GET /v1/projects/{key}/settings`: where analytics-next is to send to. It asks the host of its `cdnURL`."""
    key, _, page = unquote(request.path.removeprefix(SETTINGS)).partition("/")
    host = request.headers.get(b"host", b"")
    if page.rstrip("/") != "settings" or not _KEY.fullmatch(key) or not _HOST.fullmatch(host):
        return _not_found("there are no such settings", "ask for /v1/projects/<write key>/settings")
    segment = {"apiKey": key, "apiHost": f"{host.decode()}/v1", "protocol": _scheme(request.headers, host)}
    return _json({"integrations": {"Segment.io": segment}})


async def source_config(request: Request) -> Answer:
    """`GET /sourceConfig/?writeKey=`: RudderStack's browser client starts with what this says: no destinations of its
    own, no reports about itself."""
    key = parse_qs(request.query.decode("latin-1"), max_num_fields=None).get("writeKey", [""])[0]
    if not _KEY.fullmatch(key):
        return _not_found("there is no such source", "ask for /sourceConfig/?writeKey=<write key>")
    silence = {"errors": {"enabled": False}, "metrics": {"enabled": False}}
    source = {
        "id": key,
        "name": "funnelcast",
        "writeKey": key,
        "enabled": True,
        "workspaceId": "funnelcast",
        "config": {"statsCollection": silence},
        "destinations": [],
        "dataplanes": {},
    }
    return _json({"source": source, "updatedAt": "1970-01-01T00:00:00.000Z"})


async def analytics_js(request: Request) -> Answer:  # noqa: ARG001 - as every page
    """`GET /analytics.js/v1/{key}/analytics.min.js`: Segment's script is Segment's to serve."""
    return _not_found(
        "this collector does not serve Segment's script",
        "load it from where you load it now, or bundle @segment/analytics-next, with "
        'integrations: {"Segment.io": {apiHost: "<this host>/v1"}}; see docs/clients.md',
    )


async def telemetry(request: Request) -> Answer:  # noqa: ARG001 - as every page
    """`POST /v1/m`: what analytics-next counts about itself; not events."""
    return SUCCESS_ANSWER


def _scheme(headers: Headers, host: bytes) -> str:
    """As the proxy says. Without one a collector on this machine uses plain HTTP, and any other should not."""
    forwarded = headers.get(b"x-forwarded-proto", b"").strip().lower()
    if forwarded in (b"http", b"https"):
        return forwarded.decode()
    return "http" if _LOOPBACK.fullmatch(host) else "https"


def _json(value: dict[str, Any]) -> Answer:
    return Answer(200, orjson.dumps(value), (JSON, _NO_STORE))


def _not_found(message: str, detail: str) -> Answer:
    return Answer(404, error_body("not_found", message, detail), (JSON,))
