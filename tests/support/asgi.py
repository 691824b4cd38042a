"""One request to an application in this process, without a client's cookies and pools: tests ask thousands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

CLIENT = ("127.0.0.1", 123)
_DEFAULTS = {"host": "c", "accept": "*/*", "accept-encoding": "gzip", "user-agent": f"python-httpx/{httpx.__version__}"}


async def ask(
    app: Any,
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    client: tuple[str, int] = CLIENT,
) -> httpx.Response:
    """The answer, as httpx has it."""
    request = httpx.Request(method, f"http://c{path}", headers={**_DEFAULTS, **(headers or {})}, content=body)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "server": ("c", None),
        "client": client,
        "root_path": "",
    }
    received = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return received.pop() if received else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *parts = sent
    content = b"".join(part.get("body", b"") for part in parts)
    return httpx.Response(start["status"], headers=start["headers"], content=content, request=request)
