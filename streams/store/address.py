"""Addresses of Redis and Valkey: one server, a cluster, or a primary that sentinels name. Parses and builds clients;
sends nothing.

An address holds a password, so no text of an error shows more of it than scheme and hosts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.asyncio.sentinel import Sentinel

from schemas.errors import UsageError
from schemas.explain import did_you_mean

Client = Redis | RedisCluster
_PORT, _SENTINEL_PORT = 6379, 26379
_SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+cluster",
    "rediss+cluster",
    "redis+sentinel",
    "rediss+sentinel",
)
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS: Final = (*_FILES, "ssl_cert_reqs", "ssl_check_hostname", "ssl_password", "ssl_min_version")
_SENTINEL: Final = ("sentinel_username", "sentinel_password")
_PLAIN: Final = ("db", "username", "password", "client_name", "health_check_interval", "socket_timeout")
_EXAMPLES: Final = (
    "write e.g. redis://127.0.0.1:6379, rediss://user:password@host:6379?ssl_ca_certs=ca.crt, "
    "redis+cluster://host1:6379,host2:6379 or redis+sentinel://host1:26379,host2:26379/mymaster"
)


class StoreAddressError(UsageError):
    """Not the address of a Redis server."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """What an address says."""

    kind: str
    """`cluster`, `sentinel`, or empty for one server."""
    nodes: tuple[tuple[str, int], ...]
    service: str
    """Name under which sentinels know the primary."""
    options: Mapping[str, Any] = field(repr=False)
    """Keyword arguments of redis-py: login, TLS, database."""
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The same for the sentinels."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises StoreAddressError."""
        try:
            return cls._parsed(url)
        except ValueError as error:
            if isinstance(error, StoreAddressError):
                raise
            raise StoreAddressError(f"{_shown(url)!r} is no Redis address; {_EXAMPLES}") from None

    @classmethod
    def _parsed(cls, url: str) -> Self:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES:
            raise ValueError
        scheme, _, kind = parts.scheme.partition("+")
        login, _, hosts = parts.netloc.rpartition("@")
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        _check_parameters(url, parameters, has_tls=scheme == "rediss", kind=kind)
        sentinels = {str(name): parameters.pop(name) for name in _SENTINEL if name in parameters}
        service, path = "", parts.path
        if kind == "sentinel":
            service, _, database = path.strip("/").partition("/")
            path = f"/{database}"
            if not service:
                raise StoreAddressError(
                    f"{_shown(url)!r} does not name the primary: write redis+sentinel://host:26379/NAME, as in the "
                    "sentinels' `sentinel monitor NAME`"
                )
        nodes = tuple(_node(host, _SENTINEL_PORT if kind == "sentinel" else _PORT) for host in hosts.split(","))
        if len(nodes) > 1 and not kind:
            raise StoreAddressError(
                f"{_shown(url)!r} names several servers: write redis+cluster:// or redis+sentinel:// for them"
            )
        first = hosts.split(",")[0]
        query = f"?{urlencode(parameters)}" if parameters else ""
        options: dict[str, Any] = dict(parse_url(f"{scheme}://{login}{'@' if login else ''}{first}{path}{query}"))
        for name in ("host", "port", "connection_class") if scheme != "unix" else ():
            options.pop(name, None)
        if scheme == "rediss":
            options["ssl"] = True
        return cls(kind, nodes, unquote(service), options, _of_sentinels(options, sentinels))

    def client(self, **options: Any) -> Client:
        """A client that connects at its first command. `options` are defaults that the address may override."""
        given: dict[str, Any] = {**options, **self.options}
        if self.kind == "cluster":
            if given.pop("db", 0):
                raise StoreAddressError("a Redis Cluster has no databases: leave the number out of the address")
            return RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in self.nodes], **given)
        if self.kind == "sentinel":
            make: Any = Sentinel
            sentinel = make(self.nodes, sentinel_kwargs={**options, **self.sentinel_options}, **given)
            return cast(Redis, sentinel.master_for(self.service, redis_class=_Primary))
        if "path" in given:
            return Redis(unix_socket_path=given.pop("path"), **_without_class(given))
        ((host, port),) = self.nodes
        return Redis(host=host, port=port, **given)


class _Primary(Redis):
    """The primary that sentinels name; closes the connections to them, too."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """See redis-py."""
        await super().aclose(close_connection_pool)
        manager: Any = getattr(self.connection_pool, "sentinel_manager", None)
        for sentinel in manager.sentinels:
            await sentinel.aclose()


def _without_class(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "connection_class"}


def _node(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "127.0.0.1", parts.port or port


def _check_parameters(url: str, parameters: Mapping[str, str], *, has_tls: bool, kind: str) -> None:
    """Raises StoreAddressError for what redis-py would pass over, or find out about at the first connection only."""
    known = (*_PLAIN, *_TLS, *(_SENTINEL if kind == "sentinel" else ()))
    for name, value in parameters.items():
        if name not in known:
            raise StoreAddressError(f"{_shown(url)!r}: unknown parameter {name}{did_you_mean(name, known)}")
        if name in _TLS and not has_tls:
            raise StoreAddressError(f"{_shown(url)!r}: {name} is of no use without TLS; write rediss:// for redis://")
        if name in _FILES and not Path(value).is_file():
            raise StoreAddressError(f"{_shown(url)!r}: {name}: {value}: there is no such file")


def _of_sentinels(options: Mapping[str, Any], login: Mapping[str, str]) -> dict[str, Any]:
    tls = {name: value for name, value in options.items() if name.startswith("ssl")}
    return tls | {name.removeprefix("sentinel_"): value for name, value in login.items()}


def _shown(url: str) -> str:
    """Scheme and hosts: a login, a path and parameters may hold what nobody should read."""
    scheme, has_scheme, address = url.rpartition("://")
    hosts = address.partition("?")[0].rpartition("@")[2].partition("/")[0]
    return f"{scheme}{has_scheme}{hosts}"
