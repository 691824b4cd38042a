"""Whether a space has counted on beyond the history that is to be sent into it: asks its state. Sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from funnelcast.say import say
from schemas.funnel.load import load_funnels
from schemas.times import utc_text
from streams.store.connection import close, connect
from streams.store.port import StoreUnavailableError
from streams.store.reader import RedisCounterReader
from streams.store.statuses import metas_of

_LATE: Final = (
    "%d of %d events lie before %s, and behind that time the space %r counts nothing more. Send history into a space "
    "that has not seen later times (--space), or rebuild this one (docs/operations.md); --tolerate late sends it"
)


class SpaceOf(Protocol):
    """Settings of a command that may know a space."""

    @property
    def space(self) -> str:
        """Its name."""

    @property
    def funnels(self) -> Sequence[str]:
        """What is counted in it."""

    @property
    def redis(self) -> str | None:
        """Where it lies; None: nobody has said."""

    def need_redis(self) -> str:
        """The same, where somebody has."""


def asked_horizon_ms(settings: SpaceOf) -> int | None:
    """`horizon_ms` of the space of these settings; None, and said on stderr, where it could not be asked. Raises
    FunnelError."""
    try:
        return asyncio.run(horizon_ms(settings.need_redis(), settings.space, funnels=settings.funnels))
    except StoreUnavailableError as error:
        say(f"how far the space has counted could not be asked: {error}", err=True)
        return None


async def horizon_ms(redis: str, space: str, *, funnels: Sequence[str]) -> int | None:
    """What occurred before is late in a funnel (docs/semantics.md 8); None for a space that has seen nothing.

    Raises StoreUnavailableError, FunnelError.
    """
    client = connect(redis)
    try:
        metas = (await metas_of(RedisCounterReader(client, space))).values()
    finally:
        await close(client)
    newest = max((meta.watermark_ms for meta in metas if meta.watermark_ms is not None), default=None)
    if newest is None:
        return None
    return newest - min(each.conversion_window_ms + each.allowed_lateness_ms for each in load_funnels(funnels))


def late_text(late: int, count: int, *, horizon: int, space: str) -> str:
    """What to say of history that comes too late."""
    return _LATE % (late, count, utc_text(horizon), space)
