"""HTTP on the loopback. An ordinary client of httpx loads all authorities that the machine trusts; tests make many."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from tests.support.waiting import LIMIT

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody."""


def plain_client(**options: Any) -> httpx.AsyncClient:
    """A client for http:// alone."""
    return httpx.AsyncClient(verify=NO_TLS, **{"timeout": LIMIT, **options})


def plain_get(url: str, **options: Any) -> httpx.Response:
    """One GET of http://."""
    return httpx.get(url, verify=NO_TLS, **{"timeout": LIMIT, **options})
