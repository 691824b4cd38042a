"""Real Apache Kafka brokers (KRaft, one node) on loopback for tests, chaos runs and benchmarks. Not for production.

A broker starts in about a second and dies with the process that started it (leash.py): start it from the main thread.
It is no part of an event loop: a broker started under one loop may be killed and stopped under another.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from funnelcast.processes import leash
from funnelcast.processes.ports import free_port
from funnelcast.stack.kafka_jars import KafkaFiles, KafkaFilesError, kafka_files

START_SECONDS, STOP_SECONDS, POLL_SECONDS = 60.0, 20.0, 0.02
LOG_TAIL_BYTES = 3000
_LEASH = str(Path(leash.__file__))
_CLUSTER_ID = "ZnVubmVsY2FzdC10ZXN0cw"
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Cheap to start; a broker that is to be fast for minutes wants the default compiler."""

_TAKEN = b"Address already in use"
"""What the broker's log says of a port that somebody took before it listened."""
_PORTS_TRIED = 3
_STARTED = b"Kafka Server started"


class RealKafkaError(Exception):
    """The broker did not start or did not end; the text holds the end of its log."""


class RealKafka:
    """One broker with a port and a data directory that stay the same over `kill` and `restart`.

    `async with RealKafka() as kafka:` formats, starts, waits until it is ready and leaves nothing behind. `properties`
    override the broker's settings, `jvm` the options of its JVM; `format_options` go to the formatting of its storage,
    e.g. `--add-scram` and a user.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int | None = None,
        properties: Mapping[str, str | int] | None = None,
        format_options: Sequence[str] = (),
        jvm: tuple[str, ...] = _JVM,
    ) -> None:
        self._own = tempfile.mkdtemp(prefix="funnelcast-kafka-") if directory is None else None
        self.directory = Path(self._own) if self._own is not None else Path(str(directory)).resolve()
        self._chooses_ports = port is None and "listeners" not in (properties or {})
        self._given = dict(properties or {})
        self.take_port(port or free_port())
        self._jvm, self._format_options = jvm, tuple(format_options)
        self._files: KafkaFiles | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins = 0

    def take_port(self, port: int) -> None:
        """Listen there, once it starts."""
        self.port = port
        self.properties: dict[str, str | int] = self._defaults() | self._given

    @property
    def bootstrap(self) -> str:
        """Address for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What the broker printed, over all its starts."""
        return self.directory / "broker.log"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    async def __aenter__(self) -> RealKafka:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Format the directory unless it is, start, wait until clients can connect.

        Raises KafkaFilesError (no Java, no Maven) and RealKafkaError.
        """
        if self.pid is not None:
            return
        files: KafkaFiles = self._files if self._files is not None else await asyncio.to_thread(kafka_files)
        self._files = files
        self.directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(_PORTS_TRIED):
            try:
                await self._start_on_ports(files)
                self._chooses_ports = False  # from now on they are known
                return
            except RealKafkaError:
                is_last = attempt + 1 == _PORTS_TRIED
                if is_last or not self._chooses_ports or not self._says(_TAKEN):
                    raise
                self.take_port(free_port())

    async def _start_on_ports(self, files: KafkaFiles) -> None:
        settings = self.directory / "server.properties"
        settings.write_text("".join(f"{name}={value}\n" for name, value in self.properties.items()))
        if not (self.directory / "data" / "meta.properties").exists():
            await asyncio.to_thread(self._format, files, settings)
        if not files.archive.exists():
            await self._make_archive(files)
        self._spawn(files.command("kafka.Kafka", str(settings), options=self._jvm))
        await self.ready()

    async def ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until the broker accepts connections (it opens its port when it serves)."""
        deadline = time.monotonic() + seconds
        while not (self._says(_STARTED) and self._connects()):
            if self.pid is None:
                raise RealKafkaError(
                    f"the Kafka broker ended while it started; its log {self.log} ends:\n{self.tail()}"
                )
            if time.monotonic() > deadline:
                raise RealKafkaError(
                    f"the Kafka broker was not ready within {seconds:.0f} s; its log ends:\n{self.tail()}"
                )
            await asyncio.sleep(POLL_SECONDS)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal (SIGKILL, SIGTERM, SIGSTOP, SIGCONT). After SIGKILL it is gone when this returns."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait()

    async def gone(self, seconds: float = STOP_SECONDS) -> None:
        """Wait until the process has ended. Raises RealKafkaError at the deadline."""
        deadline = time.monotonic() + seconds
        while self.pid is not None:
            if time.monotonic() > deadline:
                raise RealKafkaError(f"the Kafka broker (pid {self.pid}) did not end within {seconds:.0f} s")
            await asyncio.sleep(POLL_SECONDS)

    async def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with SIGTERM or SIGKILL if it runs, start it on the same port and data, wait until it is ready."""
        self.kill(number)
        await self.gone()
        await self.start()

    async def stop(self) -> None:
        """End it for good; a directory of its own is removed."""
        self.kill(signal.SIGTERM)
        self.kill(signal.SIGCONT)  # a stopped process would not see the SIGTERM
        try:
            await self.gone()
        except RealKafkaError:
            self.kill(signal.SIGKILL)
        if self._own is not None:
            await asyncio.to_thread(shutil.rmtree, self._own, ignore_errors=True)

    def tail(self) -> str:
        """End of its log."""
        try:
            return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        except OSError:
            return ""

    def _defaults(self) -> dict[str, str | int]:
        controller = free_port()
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            "auto.create.topics.enable": "false",
            "num.partitions": 4,
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # the broker's own session: after kill -9 the new one is refused until it is over (9 s by default)
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            "log.retention.check.interval.ms": 1000,
            "log.initial.task.delay.ms": 500,
            # its 128 MiB buffer is most of a small broker's memory
            "log.cleaner.dedupe.buffer.size": 2_097_152,
            "log.cleaner.threads": 1,
            "background.threads": 2,
            "num.network.threads": 2,
            "num.io.threads": 2,
        }

    def _format(self, files: KafkaFiles, settings: Path) -> None:
        command = files.command(
            "kafka.tools.StorageTool",
            "format",
            "-t",
            _CLUSTER_ID,
            "-c",
            str(settings),
            *self._format_options,
            options=self._jvm,
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RealKafkaError(f"Kafka could not format {self.directory}:\n{done.stdout}{done.stderr}")

    async def _make_archive(self, files: KafkaFiles) -> None:
        """Start a broker once so that its JVM writes the class archive when it ends. A failure costs speed alone."""
        draft = files.archive.with_suffix(f".{os.getpid()}.draft")
        options = (*self._jvm, f"-XX:ArchiveClassesAtExit={draft}")
        self._spawn(files.command("kafka.Kafka", str(self.directory / "server.properties"), options=options))
        await self.ready()
        self.kill(signal.SIGTERM)
        await self.gone(60.0)
        if draft.exists():
            draft.replace(files.archive)

    def _spawn(self, command: list[str]) -> None:
        argv = [sys.executable, "-I", "-S", _LEASH, str(os.getpid()), *command]
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, start_new_session=True
            )

    def _says(self, words: bytes) -> bool:
        """Whether its own log does since it was started: on its port another program may answer."""
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            return words in log.read()

    def _connects(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        except OSError:
            return False
        return True


__all__ = ["KafkaFilesError", "RealKafka", "RealKafkaError", "kafka_files"]
