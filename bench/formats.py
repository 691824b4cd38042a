"""What each client's format costs the collector before Kafka: CPU per event of the application alone, in this process.

No socket and no broker, so it is quiet enough to compare two versions of one format on a busy machine:
`python -m bench.formats`, or `python -m bench.formats posthog --profile` to see where the time goes. `bench.collector`
measures the whole.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import time
from collections.abc import Sequence
from typing import Any

from bench.bodies import DIALECTS, WEBHOOKS, Dialect, Sent, events
from producers.access.keys import KeyRing
from producers.collector.app import Collector
from producers.collector.routes import all_routes
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.verdicts import Sender
from producers.sink.port import MemorySink, Outgoing
from producers.webhooks.config import parse_webhooks
from schemas.topics import Topics

BATCH = 50
EVENTS = 3_000


class NowhereSink(MemorySink):
    """Acknowledges at once."""

    async def put(self, records: Sequence[Outgoing], *, needs_order: bool = False) -> None:
        """Forget them."""


def collector() -> Collector:
    """A collector that writes nowhere."""
    ingest = Ingest(contacts=Contacts(b"bench"))
    return Collector(
        sink=NowhereSink(),
        ingest=ingest,
        keys=KeyRing(None, open_sender=Sender()),
        topics=Topics("bench"),
        routes=all_routes(ingest, parse_webhooks(WEBHOOKS, {})),
    )


class Run:
    """Some requests of one format, ready to be asked."""

    def __init__(self, app: Collector, dialect: Dialect, *, batch: int, first: int) -> None:
        self._app = app
        self._batch = min(batch, dialect.most)
        count = EVENTS // self._batch // (1 if self._batch > 1 else 2)
        self._requests = [dialect.make(events(first + number, self._batch)) for number in range(count)]

    async def ask(self) -> float:
        """CPU microseconds per event."""
        started = time.process_time()
        for one in self._requests:
            await self._ask(one)
        return (time.process_time() - started) * 1e6 / (len(self._requests) * self._batch)

    async def _ask(self, sent: Sent) -> None:
        path, _, query = sent.path.partition("?")
        headers = [(name.lower().encode(), value.encode()) for name, value in sent.headers.items()]
        scope: dict[str, Any] = {"type": "http", "method": sent.method, "path": path, "query_string": query.encode()}
        scope |= {"headers": headers, "client": ("127.0.0.1", 1)}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": sent.body, "more_body": False}

        async def send(message: Any) -> None:
            if message.get("status", 200) != 200:
                raise RuntimeError(f"{sent.path} was answered {message['status']}")

        await self._app(scope, receive, send)


async def compare(names: Sequence[str], repeat: int) -> None:
    """Print the best of some runs of each, which take turns."""
    app = collector()
    kinds = [(name, 1 if DIALECTS[name].most == 1 else BATCH) for name in names]
    best: dict[tuple[str, int], float] = {}
    for number in range(repeat):
        for name, batch in [("native", 1), ("native", BATCH), *kinds]:
            found = await Run(app, DIALECTS[name], batch=batch, first=number * 1_000_000).ask()
            best[name, batch] = min(found, best.get((name, batch), found))
    for (name, batch), us in best.items():
        native = best["native", batch]
        print(f"{name:12} by {batch:2}  {us:7.2f} us/event  {us / native:5.2f} times native")


async def profile(name: str) -> None:
    """Print where the time of one format goes."""
    app, profiler = collector(), cProfile.Profile()
    await Run(app, DIALECTS[name], batch=BATCH, first=0).ask()
    run = Run(app, DIALECTS[name], batch=BATCH, first=1_000_000)
    profiler.enable()
    await run.ask()
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.formats", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(DIALECTS), metavar="FORMAT", help=", ".join(DIALECTS))
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    asyncio.run(profile(options.names[0]) if options.profile else compare(options.names, options.repeat))
