"""The address of a client: the peer of the connection, or what trusted proxies say of it. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAPPED: Final = "::ffff:"


class Networks:
    """Addresses by their networks: `address in networks`."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raises ValueError for a text that is no address and no network."""
        self._networks: list[Network] = [ipaddress.ip_network(one.strip(), strict=False) for one in networks]
        self._known = lru_cache(maxsize=1024)(self._lies_within)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: object) -> bool:
        return bool(self._networks) and isinstance(address, str) and self._known(address)

    def _lies_within(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in one for one in self._networks)


class TrustedProxies:
    """Networks whose X-Forwarded-For is believed. Without any, the header is ignored: everyone can write one."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raises ValueError for a text that is no address and no network."""
        self._networks = Networks(networks)

    def trusts(self, peer: str) -> bool:
        """Whether what this peer of a connection says of a client is believed."""
        return _unmapped(peer) in self._networks

    def client(self, peer: str, forwarded_for: bytes | None) -> str:
        """The nearest address that is no trusted proxy, read from the right: each proxy adds the one it saw."""
        peer = _unmapped(peer)
        if not forwarded_for or not self._networks:
            return peer
        for hop in reversed(forwarded_for.decode("latin-1").split(",")):
            if peer not in self._networks:
                return peer
            stated = _address_in(hop.strip())
            if stated is None:
                return peer
            peer = stated
        return peer


def _unmapped(peer: str) -> str:
    return peer[len(_MAPPED) :] if peer.startswith(_MAPPED) and "." in peer else peer


def _address_in(hop: str) -> str | None:
    """The address of `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`; None where it is none."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(hop)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)
