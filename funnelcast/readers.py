"""An ASGI application around another one: numbers only for clients with a read key. For collector, exporter and web."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import ipaddress
from typing import Any, Final

from funnelcast.settings import SettingsError
from funnelcast.settings.sections import ListenSettings
from producers.access.keys import KeyRing
from producers.http.messages import JSON, Headers, HttpScope, Receive, Send, error_body, respond
from streams.store.port import CounterReader, StoreUnavailableError

_GUARDED: Final = ("/metrics",)
_REPORTS: Final = "/v1/"
_OPEN: Final = "/v1/openapi.json"
"""What can be asked is no secret; what is answered is."""


def check_readers(settings: ListenSettings) -> None:
    """Raises SettingsError where a key is asked for and none can exist."""
    if settings.require_read_key and settings.keys is None:
        raise SettingsError("--require-read-key needs a file of keys: set FUNNELCAST_KEYS or give --keys keys.json")


def check_reports_are_guarded(settings: ListenSettings) -> None:
    """Raises SettingsError where everybody on the network could read the reports."""
    if not settings.require_read_key and not _is_loopback(settings.host):
        raise SettingsError(
            f"--host {settings.host} shows every report to the network: add --require-read-key and --keys keys.json, "
            "or listen on 127.0.0.1"
        )


async def check_store(reader: CounterReader, seconds: float) -> None:
    """Raises StoreRefusedError where the server refuses this reader. A server that is away is waited for later."""
    with contextlib.suppress(StoreUnavailableError, TimeoutError):
        async with asyncio.timeout(seconds):
            await reader.partitions()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ReadersOnly:
    """Asks for a key of the scope read where numbers are; /healthz and /readyz stay open: they say yes or no."""

    def __init__(self, app: Any, keys: KeyRing, *, has_reports: bool = False) -> None:
        self._app = app
        self._keys = keys
        self._has_reports = has_reports

    def _is_guarded(self, path: str) -> bool:
        if path.rstrip("/") in _GUARDED:
            return True
        return self._has_reports and path.startswith(_REPORTS) and path != _OPEN

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if (
            scope["type"] == "http"
            and self._is_guarded(scope["path"])
            and not self._keys.may_read(read_key_of(dict(scope["headers"])))
        ):
            body = error_body(
                "bad_key",
                "the read key is missing or unknown",
                "send it as Bearer, X-Read-Key or Basic; make one with `funnelcast keys create --scope read`",
            )
            await respond(send, 401, body, (JSON, (b"www-authenticate", b'Bearer realm="read key"')))
            return
        await self._app(scope, receive, send)


def read_key_of(headers: Headers) -> str | None:
    """The read key: `Authorization: Bearer`, `X-Read-Key`, or either half of `Authorization: Basic`."""
    if header := headers.get(b"x-read-key"):
        return header.decode("latin-1").strip()
    scheme, _, credentials = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return password or user
