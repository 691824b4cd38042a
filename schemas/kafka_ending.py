"""How a consumer of aiokafka ends, for readers of Kafka that do not count. Of the schemas it alone knows asyncio."""

from __future__ import annotations

import asyncio
from typing import Any


async def stop_consumer(consumer: Any) -> None:
    """Its own `stop` raises the cancellation of a fetch that it ends itself, where that fetch has just failed, and
    leaves the connections open then."""
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        await consumer._client.close()  # noqa: SLF001
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
