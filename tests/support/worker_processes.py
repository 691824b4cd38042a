"""Worker processes of a test, started through the command as a user would."""

from __future__ import annotations

import subprocess
from pathlib import Path

from funnelcast.processes.deployment import status_of
from funnelcast.processes.ports import free_port
from tests.support.command import start_command
from tests.support.waiting import until


class Workers:
    """Starts workers and makes sure that none is left."""

    def __init__(self, env: dict[str, str], directory: Path) -> None:
        self._env, self._directory = env, directory
        self._all: list[subprocess.Popen[bytes]] = []
        self.ports: dict[int, int] = {}
        """Where a process answers questions about its health."""

    async def start(self, *, ready: bool = True, **env: str) -> subprocess.Popen[bytes]:
        """A worker process, ready."""
        port = free_port()
        process = start_command(
            "worker", "--health-port", str(port), state_dir=self._directory, env={**self._env, **env}
        )
        self._all.append(process)
        self.ports[process.pid] = port
        if ready:

            async def answers() -> bool:
                assert process.poll() is None, process.stderr and process.stderr.read().decode()
                return await status_of(port, "/readyz") == 200

            await until(answers, what="worker ready")
        return process

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._all:
            process.kill()
            process.communicate()
