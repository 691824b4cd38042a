"""Worker processes of a test, started through the command as a user would."""

from __future__ import annotations

import subprocess
from pathlib import Path

from funnelcast.processes.deployment import status_of
from funnelcast.processes.listening import Listening
from tests.support.command import start_command
from tests.support.waiting import until


class Workers:
    """Starts workers and makes sure that none is left."""

    def __init__(self, env: dict[str, str], directory: Path) -> None:
        self._env, self._directory = env, directory
        self._all: list[subprocess.Popen[bytes]] = []

    async def start(self, *, ready: bool = True, **env: str) -> subprocess.Popen[bytes]:
        """A worker process, ready. The system chooses the port of its health page: nobody else can have it."""
        log = self._directory / f"worker-{len(self._all)}.log"
        arguments = ("worker", "--health-port", "0")
        process = start_command(*arguments, state_dir=self._directory, env={**self._env, **env}, log=log)
        self._all.append(process)
        if ready:

            async def answers() -> bool:
                assert process.poll() is None, self.said(process)
                return await self.status(process, "/readyz") == 200

            await until(answers, what="worker ready")
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """What a process has logged."""
        return self._log(process).read_text()

    async def status(self, process: subprocess.Popen[bytes], path: str) -> int | None:
        """What its health page answers; None where it does not."""
        port = Listening(self._log(process)).port()
        return None if port is None else await status_of(port, path)

    def _log(self, process: subprocess.Popen[bytes]) -> Path:
        return self._directory / f"worker-{self._all.index(process)}.log"

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._all:
            process.kill()
            process.wait()
