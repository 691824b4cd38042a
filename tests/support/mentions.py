"""Where a text still stands in the Redis of a space."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

_READS: dict[bytes, Any] = {
    b"hash": lambda client, key: client.hgetall(key),
    b"string": lambda client, key: client.get(key),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
    b"list": lambda client, key: client.lrange(key, 0, -1),
}


async def mentions(env: dict[str, str], text: str) -> list[str]:
    """Every key, field or value of the space that holds it."""
    mentions = []
    client: Any = Redis.from_url(env["FUNNELCAST_REDIS"])
    async for key in client.scan_iter(f"*{env['FUNNELCAST_SPACE']}*"):
        kind = await client.type(key)
        held = await _READS[kind](client, key)
        if text.encode() in key + repr(held).encode():
            mentions.append(f"{key}: {held}"[:200])
    await client.aclose()
    return mentions
