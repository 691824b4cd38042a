"""A name never shares a code, whatever becomes of the server that gave it out."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from streams.store.connection import close, connect, ping
from streams.store.keys import cluster_slot
from streams.store.port import StoreUnavailableError
from streams.store.redis import RedisPartitionStore
from tests.support.cluster import Cluster
from tests.support.names import as_compared
from tests.support.waiting import until

pytestmark = pytest.mark.cluster
FUNNEL, CAPS = "shop@1", {1: 100}


async def test_a_code_that_only_a_dead_primary_knows_was_never_used(cluster: Cluster) -> None:
    client = connect(cluster.url)
    await ping(client)
    store = RedisPartitionStore(client, "loss")

    async def code(name: str) -> int:
        return (await store.register(FUNNEL, as_compared([(1, name)]), CAPS))[1, name]

    async def code_at_last(name: str) -> int:
        async def asked() -> int | None:
            try:
                return await code(name)
            except StoreUnavailableError:
                return None

        return int(await until(asked, every=0.2, what=f"a code of {name}"))

    given = [("kept", await code("kept"))]
    primary, replica = cluster.pair_of(cluster_slot("loss"))
    cluster.part(primary, replica)
    with contextlib.suppress(StoreUnavailableError):
        given.append(("lost", await code("lost")))
    await asyncio.to_thread(cluster.lose, primary, replica)
    given += [(name, await code_at_last(name)) for name in ("third", "lost", "kept")]
    await close(client)
    assert len({code for _, code in given}) == len({name for name, _ in given}) == len(set(given)), given
