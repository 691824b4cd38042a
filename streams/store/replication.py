"""On a cluster: whether a replica has what its primary has written, so that the loss of the primary loses none of it.

A code of a name is used in counters on another server; if the primary that gave it out died before its replica had the
name, the replica would give the code to the next name, and two values would be one for good.
"""

from __future__ import annotations

import time
from typing import Any, Final

from redis import exceptions
from redis.asyncio.cluster import RedisCluster

from streams.store.connection import translated
from streams.store.port import StoreUnavailableError

WAIT_MS: Final = 1000
ALONE_SECONDS: Final = 180.0
"""A replica of which nobody has heard for so long is not promoted any more (with a cluster's defaults, ten times its
timeout of 15 s and 10 s); until then new names wait for it."""


class Replicas:
    """Of the server that holds one key of a cluster."""

    def __init__(self, client: RedisCluster, key: str, *, alone_seconds: float = ALONE_SECONDS) -> None:
        self._client = client
        self._key = key
        self._alone_seconds = alone_seconds
        self._has_had_one = False
        self._alone_since: float | None = None

    async def have_all(self) -> None:
        """Wait until one of them has everything that was written before now; at once where there never was one.

        Raises StoreUnavailableError where none says so in time: another try may meet another primary.
        """
        with translated():
            self._has_had_one = self._has_had_one or await self._is_configured()
            if not self._has_had_one:
                return
            if await _acknowledged(self._client, self._key):
                self._alone_since = None
                return
            await self._client.nodes_manager.initialize()
            if await self._is_listed() or not self._is_alone_for_long():
                raise StoreUnavailableError(
                    f"no replica of the names' server has acknowledged within {WAIT_MS / 1000:g} s: new names wait"
                )

    async def _is_configured(self) -> bool:
        """By the primary's own list of nodes: the list of slots leaves out a replica that has said nothing yet, and it
        can be promoted all the same."""
        await self._client.initialize()
        primary: Any = self._client.nodes_manager.get_node_from_slot(self._client.keyslot(self._key))
        nodes: Any = await self._client.execute_command("CLUSTER NODES", target_nodes=primary)
        own = next((node["node_id"] for node in nodes.values() if "myself" in node["flags"]), None)
        return any(node["master_id"] == own for node in nodes.values())

    async def _is_listed(self) -> bool:
        await self._client.initialize()
        nodes: Any = self._client.nodes_manager.slots_cache.get(self._client.keyslot(self._key), ())
        return len(nodes) > 1

    def _is_alone_for_long(self) -> bool:
        now = time.monotonic()
        self._alone_since = now if self._alone_since is None else self._alone_since
        return now - self._alone_since >= self._alone_seconds


async def _acknowledged(client: RedisCluster, key: str) -> bool:
    """A write of this connection, then WAIT: what a server has written is one stream, so the write is its end."""
    node: Any = client.nodes_manager.get_node_from_slot(client.keyslot(key))
    connection = node.acquire_connection()
    try:
        commands = connection.pack_commands([("SET", key, b"1"), ("WAIT", 1, WAIT_MS)])
        await connection.connect()
        await connection.send_packed_command(commands)
        await node.parse_response(connection, "SET")
        return int(await node.parse_response(connection, "WAIT")) >= 1
    except BaseException as error:
        await connection.disconnect()  # what was not read would answer somebody else
        if isinstance(error, exceptions.MovedError | exceptions.ReadOnlyError):
            return False  # it is no primary any more
        raise
    finally:
        node.release(connection)
