"""A Valkey primary with two replicas and the three sentinels that replace it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from funnelcast.processes.ports import free_port
from tests.support.valkey import ValkeyServer, valkey_binary
from tests.support.waiting import wait_until

NAME = "funnel"
DOWN_AFTER_MS = 1500


class Sentinels:
    """`start`, then `kill_primary`; `stop` leaves nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: dict[int, ValkeyServer] = {}
        self._sentinels: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Of all sentinels and one that is not there."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in (free_port(), *self._sentinels))
        return f"redis+sentinel://{hosts}/{NAME}"

    def start(self) -> None:
        """Start all, wait until every sentinel knows the others and both replicas."""
        for number in range(3):
            (directory := self._directory / f"server-{number}").mkdir()
            first = next(iter(self._servers), None)
            replica = () if first is None else ("--replicaof", "127.0.0.1", str(first))
            server = ValkeyServer(directory, options=("--repl-diskless-sync-delay", "0", *replica))
            server.start()
            self._servers[server.port] = server
        for number in range(3):
            self._start_sentinel(number)
        wait_until(lambda: all(map(self._knows_all, self._sentinels)), what="sentinels know each other")

    def primary(self) -> int:
        """Port of the primary, as a sentinel names it."""
        answer = self._answer(next(iter(self._sentinels)), f"SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}")
        return int(answer.split("\r\n")[4])

    def kill_primary(self) -> None:
        """Kill -9, and wait until another server has taken over."""
        port = self.primary()
        self._servers[port].kill()
        wait_until(lambda: self.primary() != port, what="another primary")

    def stop(self) -> None:
        """Kill what runs."""
        for server in self._servers.values():
            server.kill()
        for process in self._sentinels.values():
            process.kill()
            process.wait()

    def _start_sentinel(self, number: int) -> None:
        (directory := self._directory / f"sentinel-{number}").mkdir()
        port, primary = free_port(), next(iter(self._servers))
        settings = [
            f"port {port}",
            "bind 127.0.0.1",
            f"sentinel monitor {NAME} 127.0.0.1 {primary} 2",
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {NAME} 10000",
        ]
        (file := directory / "sentinel.conf").write_text("\n".join(settings) + "\n")
        self._sentinels[port] = subprocess.Popen(
            [valkey_binary(), str(file), "--sentinel"],
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _knows_all(self, port: int) -> bool:
        words = self._answer(port, f"SENTINEL MASTER {NAME}").split("\r\n")
        known = {words[at]: words[at + 2] for at in range(2, len(words) - 2, 4)}
        return known.get("num-slaves") == "2" and known.get("num-other-sentinels") == "2"

    def _answer(self, port: int, command: str) -> str:
        asked = ValkeyServer(self._directory)
        asked.port = port
        return asked.command(command).decode()
