"""Addresses of Redis: every form, what is refused, and that no text shows a password."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from streams.store.address import StoreAddress, StoreAddressError
from streams.store.connection import connect, translated
from streams.store.port import StoreRefusedError, StoreUnavailableError
from tests.support.rows import rows


def test_one_server() -> None:
    assert StoreAddress.parse("redis://h").nodes == (("h", 6379),)
    address = StoreAddress.parse("redis://user:p%40w@[::1]:7000/3")
    assert (address.kind, address.nodes) == ("", (("::1", 7000),))
    assert address.options == {"username": "user", "password": "p@w", "db": 3}
    assert "p@w" not in repr(address)
    assert StoreAddress.parse("unix:///run/redis.sock").options["path"] == "/run/redis.sock"


def test_tls_and_a_client_certificate(tmp_path: Path) -> None:
    for name in ("ca", "crt", "key"):
        (tmp_path / name).touch()
    query = f"ssl_ca_certs={tmp_path}/ca&ssl_certfile={tmp_path}/crt&ssl_keyfile={tmp_path}/key"
    options = StoreAddress.parse(f"rediss://h?{query}").options
    assert options == {
        "ssl": True,
        "ssl_ca_certs": f"{tmp_path}/ca",
        "ssl_certfile": f"{tmp_path}/crt",
        "ssl_keyfile": f"{tmp_path}/key",
    }


async def test_a_cluster_of_several_nodes() -> None:
    address = StoreAddress.parse("rediss+cluster://:pw@a:1,b,[::1]:3")
    assert (address.kind, address.nodes) == ("cluster", (("a", 1), ("b", 6379), ("::1", 3)))
    assert address.options == {"password": "pw", "ssl": True}
    client = connect("redis+cluster://:pw@a:1,b:2")
    assert isinstance(client, RedisCluster)
    assert sorted(client.nodes_manager.startup_nodes) == ["a:1", "b:2"]


async def test_sentinels_with_a_login_of_their_own() -> None:
    url = "rediss+sentinel://u:pw@a,b:2/my%20master/4?sentinel_username=su&sentinel_password=spw"
    address = StoreAddress.parse(url)
    assert (address.nodes, address.service) == ((("a", 26379), ("b", 2)), "my master")
    assert address.options == {"username": "u", "password": "pw", "db": 4, "ssl": True}
    assert address.sentinel_options == {"username": "su", "password": "spw", "ssl": True}
    client = connect(url)
    assert isinstance(client, Redis)
    assert isinstance(client.connection_pool, SentinelConnectionPool)
    await client.aclose()


@rows(
    ("url", "says"),
    [
        ("secret", "'secret' is no Redis address; write e.g. redis://127.0.0.1:6379"),
        ("http://u:secret@h", "'http://h' is no Redis address"),
        ("redis://u:secret@h:port", "'redis://h:port' is no Redis address"),
        ("redis://:secret@a,b", "'redis://a,b' names several servers: write redis[+]cluster://"),
        ("redis+sentinel://:secret@a,b", "'redis[+]sentinel://a,b' does not name the primary"),
        ("redis://:secret@h?ssl_ca_certs=/x", "ssl_ca_certs is of no use without TLS; write rediss://"),
        ("rediss://:secret@h?ssl_ca_cert=/x", "unknown parameter ssl_ca_cert .did you mean 'ssl_ca_certs'"),
        ("rediss://:secret@h?ssl_ca_certs=/none", "ssl_ca_certs: /none: there is no such file"),
        ("redis://h?sentinel_password=secret", "unknown parameter sentinel_password"),
        ("redis+cluster://:secret@h/3", "a Redis Cluster has no databases"),
    ],
)
def test_what_is_refused(url: str, says: str) -> None:
    with pytest.raises(StoreAddressError, match=says) as caught:
        connect(url)
    assert url == "secret" or "secret" not in str(caught.value)
    assert caught.value.exit_code == 2


@rows(
    ("error", "kind", "says"),
    [
        (ResponseError("DENIED Redis is running in protected mode because ..."), StoreRefusedError, "protected mode"),
        (AuthenticationError("WRONGPASS invalid username-password pair"), StoreRefusedError, "WRONGPASS"),
        (NoPermissionError("NOPERM this user has no permissions"), StoreRefusedError, "lacks a right: NOPERM"),
        (ResponseError("The user executing the script can't run this command"), StoreRefusedError, "lacks a right"),
        (ConnectionRefusedError(111, "Connection refused"), StoreUnavailableError, "Redis does not answer: .*refused"),
        (
            ResponseError("NOREPLICAS Not enough good replicas to write."),
            StoreUnavailableError,
            "writes for now: NOREP",
        ),
    ],
)
def test_the_servers_reason_is_told(error: Exception, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says), translated():
        raise error
