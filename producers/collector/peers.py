"""The processes of one collector, as they know each other: each of them answers for all when it is asked for metrics or
readiness.

Each listens on a socket file in a directory that only they use, and sends every client its counters and whether it is
ready. Before it answers, it writes its counters to disk. If it dies, the process that replaces it goes on from there,
so a counter that was seen never falls.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import msgspec

from producers.collector.metrics import CollectorMetrics, Snapshot
from producers.files.durable import write_atomically
from producers.sink.port import Sink

_ANSWER_SECONDS: Final = 2.0


class PeerState(msgspec.Struct):
    """What one process reports about itself."""

    snapshot: Snapshot
    trouble: str | None
    note: str | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(PeerState).decode
_decode_snapshot: Final = msgspec.msgpack.Decoder(Snapshot).decode


class Peers:
    """`async with` around the time in which process `index` of `count` serves. The directory is on a local disk."""

    def __init__(self, directory: Path, *, index: int, count: int, metrics: CollectorMetrics, sink: Sink) -> None:
        self._directory = directory
        self._index = index
        self._count = count
        self._metrics = metrics
        self._sink = sink
        self._server: asyncio.AbstractServer | None = None

    async def __aenter__(self) -> Peers:
        if (counted := self._written(self._index)) is not None:
            self._metrics.load(counted)
        path = self._socket(self._index)
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._tell, path)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self._write_down()

    async def others(self) -> dict[int, PeerState | None]:
        """The reports of the others; None for one that does not answer."""
        numbers = [one for one in range(self._count) if one != self._index]
        states = await asyncio.gather(*(self._ask(one) for one in numbers))
        return dict(zip(numbers, states, strict=True))

    async def count_all(self) -> None:
        """Make the metrics those of all processes. One that does not answer counts as it last reported."""
        states = await self.others()
        self._write_down()
        snapshots: list[Snapshot] = []
        for number, state in states.items():
            counted = self._written(number) if state is None else state.snapshot
            if counted is not None:
                snapshots.append(counted if state is not None else msgspec.structs.replace(counted, gauges={}))
        self._metrics.others = snapshots

    async def trouble(self) -> str | None:
        """Why one of the others takes no events, or None."""
        for number, state in (await self.others()).items():
            if state is None:
                return f"worker {number} does not answer"
            if state.trouble is not None:
                return f"worker {number}: {state.trouble}"
        return None

    async def _ask(self, number: int) -> PeerState | None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._socket(number))
                try:
                    return _decode(await reader.read())
                finally:
                    writer.close()
        except (OSError, TimeoutError, msgspec.DecodeError):
            return None

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state = PeerState(self._write_down(), self._sink.trouble, self._sink.note)
        with contextlib.suppress(OSError):
            writer.write(_encode(state))
            await writer.drain()
        writer.close()

    def _write_down(self) -> Snapshot:
        snapshot = self._metrics.snapshot()
        # the directory ends with the parent: nothing in it has to survive more than this process
        write_atomically(self._counters(self._index), _encode(snapshot), is_synced=False)
        return snapshot

    def _written(self, number: int) -> Snapshot | None:
        try:
            return _decode_snapshot(self._counters(number).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def _socket(self, number: int) -> Path:
        return self._directory / f"worker-{number}.sock"

    def _counters(self, number: int) -> Path:
        return self._directory / f"worker-{number}.counters"
