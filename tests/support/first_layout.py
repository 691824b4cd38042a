"""A partition as versions of the first layout left it: persons as fields of hashes, and no layout anywhere."""

from __future__ import annotations

from streams.state import LAYOUT, PERSON_BUCKETS
from streams.store.address import Client
from streams.store.keys import PartitionKeys, SpaceKeys
from streams.store.redis import RedisPartitionStore


async def to_first_layout(client: Client, space: str, funnel_id: str) -> None:
    """Make of partition 0 what a version of the first layout would have left."""
    keys = PartitionKeys(space, 0)
    loaded = await RedisPartitionStore(client, space).read(0, funnel_id, buckets=range(PERSON_BUCKETS))
    for bucket, fields in loaded.buckets.items():
        for name, packed in fields.items():
            await client.hset(keys.persons(funnel_id, bucket=bucket), name, packed)
        await client.delete(
            keys.persons(funnel_id, bucket=bucket, layout=LAYOUT),
            keys.person_log(funnel_id, bucket=bucket, layout=LAYOUT),
        )
    await client.delete(SpaceKeys(space).layout)
    await client.hdel(keys.cursor, "layout", f"y:{funnel_id}")
