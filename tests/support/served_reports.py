"""The reports API on a real socket, in a thread of its own, over a store in memory with a shop's counted events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from schemas.funnel.model import Funnel
from streams.api.answers import Answers
from streams.api.app import ApiApp
from streams.report.questions.targets_file import parse_targets
from streams.state import Annotation
from streams.store.annotations import MemoryAnnotations
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.store.port import CounterReader
from streams.web.server import WebServer
from tests.support.shop import SHOP, fill
from tests.support.waiting import LIMIT

NOW_MS = 1_735_732_800_000
"""2025-01-01T12:00Z."""
OTHER = SHOP.model_copy(update={"name": "other", "dimensions": (), "pairs": ()})
FUNNELS = (SHOP, OTHER)
TARGETS = parse_targets("targets: [{stage: payment, period: 2025-W01, goal: 40}]")


async def counted_shop() -> MemoryCounterReader:
    """A store in which the shop has been counted, and its twin has not."""
    space = MemorySpace(clock_ms=lambda: NOW_MS)
    await fill(MemoryPartitionStore(space), SHOP, now_ms=NOW_MS)
    await MemoryAnnotations(space).annotate(Annotation("a1", NOW_MS - 3_600_000, "prices +10 %"))
    return MemoryCounterReader(space)


@contextmanager
def served(
    reader: Callable[[], Coroutine[Any, Any, CounterReader]] = counted_shop,
    *,
    funnels: Sequence[Funnel] = FUNNELS,
    wrap: Callable[[Any], Any] = lambda app: app,
) -> Iterator[str]:
    """The address of the API over what `reader` makes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    app = ApiApp(Answers(run(reader()), funnels, lambda: NOW_MS, TARGETS), version="0")
    server = WebServer(wrap(app))
    try:
        run(server.start(0))
        yield f"http://127.0.0.1:{server.port}"
        run(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LIMIT)
        loop.close()
