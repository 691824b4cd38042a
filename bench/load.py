"""A load of requests on loopback for a bounded time: `python -m bench.load URL --batch 50 --dialect segment`.

Each connection sends its next request when the answer to the last one is there, or, with `--rate`, when it is due: the
wait for an answer is then counted from when the request should have been sent. Requests are made beforehand; every
answer must be a 200. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from typing import Any
from urllib.parse import urlsplit

import uvloop

from bench.bodies import DIALECTS, Dialect, events


class Connection(asyncio.Protocol):
    """One keep-alive connection. Reads only as much HTTP as it must."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = b""
        self._started = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
            return
        self._received = b""
        self._load.answered(head.startswith(b"HTTP/1.1 200"), time.perf_counter() - self._started)
        if self._load.is_over:
            self._transport.close()
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.closed()

    def _ask(self) -> None:
        self._started = self._load.due()
        pause = self._started - time.perf_counter()
        if pause > 0:
            asyncio.get_running_loop().call_later(pause, self._send)
        else:
            self._send()

    def _send(self) -> None:
        if self._load.is_over:
            self._transport.close()
        else:
            self._transport.write(self._load.next_request())


class Load:
    """Counts, and says when it is over."""

    def __init__(self, url: str, *, dialect: Dialect, batch: int, connections: int, rate: float | None) -> None:
        self._parts = urlsplit(url)
        first = random.getrandbits(40)  # a delivery of an earlier load would be known
        self._requests = [
            dialect.make(events(first + number, batch)).wire(self._parts.netloc) for number in range(dialect.distinct)
        ]
        self._batch, self._connections = batch, connections
        self._rate = rate
        self._due = 0.0
        self._sent = 0
        self._seconds: list[float] = []
        self._errors = 0
        self._open = connections
        self._done = asyncio.Event()
        self.is_over = False

    def due(self) -> float:
        """When the next request is to be sent: now, or at its turn."""
        if self._rate is None:
            return time.perf_counter()
        self._due += 1 / self._rate
        return self._due

    def next_request(self) -> bytes:
        """The next of the prepared requests, round and round."""
        self._sent += 1
        return self._requests[self._sent % len(self._requests)]

    def answered(self, is_good: bool, seconds: float) -> None:
        """One answer."""
        self._seconds.append(seconds)
        self._errors += not is_good

    def closed(self) -> None:
        """One connection less."""
        self._open -= 1
        if not self._open:
            self._done.set()

    async def run(self, seconds: float) -> dict[str, float]:
        """The figures of a load of this long."""
        loop, started = asyncio.get_running_loop(), time.perf_counter()
        self._due = started
        for _ in range(self._connections):
            await loop.create_connection(lambda: Connection(self), self._parts.hostname or "", self._parts.port or 80)
        loop.call_later(seconds, setattr, self, "is_over", True)
        await asyncio.wait_for(self._done.wait(), seconds + 30)
        elapsed, times = time.perf_counter() - started, sorted(self._seconds)
        return {
            "requests": len(times),
            "events": len(times) * self._batch,
            "errors": self._errors,
            "requests_per_second": len(times) / elapsed,
            "p50_ms": times[len(times) // 2] * 1000,
            "p99_ms": times[len(times) * 99 // 100] * 1000,
        }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--dialect", choices=DIALECTS, default="native")
    parser.add_argument("--rate", type=float, default=None, help="requests a second; default: as many as are answered")
    options = parser.parse_args()
    dialect = DIALECTS[options.dialect]

    async def run() -> dict[str, float]:
        load = Load(
            options.url, dialect=dialect, batch=options.batch, connections=options.connections, rate=options.rate
        )
        return await load.run(options.seconds)

    print(json.dumps(uvloop.run(run())))


if __name__ == "__main__":
    main()
