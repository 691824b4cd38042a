"""Whether a space has counted on beyond the history that is to be sent into it: asks its state. Sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.funnel.load import load_funnels
from schemas.times import utc_text
from streams.store.connection import close, connect
from streams.store.reader import RedisCounterReader

_LATE: Final = (
    "%d of %d events lie before %s, and behind that time the space %r counts nothing more. Send history into a space "
    "that has not seen later times (--space), or rebuild this one (docs/operations.md); --tolerate late sends it"
)


async def horizon_ms(redis: str, space: str, funnels: Sequence[str]) -> int | None:
    """What occurred before is late in a funnel (docs/semantics.md 8); None for a space that has seen nothing.

    Raises StoreUnavailableError, FunnelError.
    """
    client = connect(redis)
    try:
        reader = RedisCounterReader(client, space)
        statuses = [await reader.status(partition) for partition in await reader.partitions()]
    finally:
        await close(client)
    watermarks = [status.meta.watermark_ms for status in statuses if status is not None]
    newest = max((each for each in watermarks if each is not None), default=None)
    if newest is None:
        return None
    return newest - min(each.conversion_window_ms + each.allowed_lateness_ms for each in load_funnels(funnels))


def late_text(late: int, count: int, *, horizon: int, space: str) -> str:
    """What to say of history that comes too late."""
    return _LATE % (late, count, utc_text(horizon), space)
