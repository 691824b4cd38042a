"""A container engine of the tests' own, in a network namespace of its own. Knows nothing of funnelcast.

Debian's engine is started with its own directories and socket: an engine that the machine may have is not touched.
Published ports exist inside the namespace only; `inside` runs a program there. `docker compose` is built from its Go
module: Debian's is too old for the file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.support.go import MISSING, go_command
from tests.support.waiting import LIMIT, wait_until

PACKAGES = ("docker.io", "iptables", "mmdebstrap")
NAMESPACE = "funnelcast-compose"
READY_SECONDS = 60.0
_COMPOSE = "github.com/docker/compose/v5"
_COMPOSE_VERSION = "v5.6.0"
_GO_VERSION = "1.26.8"
_TOOLS_GO = f'//go:build tools\n\npackage x\n\nimport _ "{_COMPOSE}/cmd"\n'


class EngineError(Exception):
    """The engine, or what it is made of, cannot be had; the text says why."""


def run(command: Sequence[str | Path], *, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Standard output of a program. Raises EngineError with the end of what it printed."""
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = (done.stdout + done.stderr)[-3_000:]
        raise EngineError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}")
    return done.stdout


def install_packages() -> None:
    """What the engine is made of, from Debian. Raises EngineError."""
    missing = [name for name in PACKAGES if subprocess.run(["dpkg", "-s", name], capture_output=True).returncode]
    if not missing:
        return
    # Debian starts what it installs; the engine is started by hand.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    run(["apt-get", "update", "-qq"], env=env)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], env=env)


def build_compose(work: Path) -> Path:
    """The plugin `docker compose`, built from a module around it: `go install` refuses what excludes versions."""
    binary = work / f"docker-compose-{_COMPOSE_VERSION}"
    if binary.exists():
        return binary
    if (go := go_command()) is None:
        raise EngineError(f"docker compose is built from its Go module. {MISSING}")
    module = work / "compose"
    module.mkdir(exist_ok=True)
    (module / "go.mod").write_text(f"module x\n\ngo {_GO_VERSION}\n\nrequire {_COMPOSE} {_COMPOSE_VERSION}\n")
    (module / "tools.go").write_text(_TOOLS_GO)
    run([go, "mod", "tidy"], cwd=module)
    run([go, "build", "-o", "docker-compose", f"{_COMPOSE}/cmd"], cwd=module)
    (module / "docker-compose").rename(binary)
    return binary


class Engine:
    """Up between `with` and its end. `docker` runs the client against it, `inside` any program where its ports are."""

    def __init__(self, work: Path, compose: Path) -> None:
        self._work = work
        self._socket = work / "run" / "docker.sock"
        config = work / "config"
        plugins = config / "cli-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        shutil.copy2(compose, plugins / "docker-compose")
        self.env = {
            **os.environ,
            "DOCKER_HOST": f"unix://{self._socket}",
            "DOCKER_CONFIG": str(config),
            "DOCKER_BUILDKIT": "0",  # the client may have no buildx, and compose then builds through the engine
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Engine:
        if not Path("/run/netns", NAMESPACE).exists():
            run(["ip", "netns", "add", NAMESPACE])
        self.inside(["ip", "link", "set", "lo", "up"])
        (self._work / "run").mkdir(parents=True, exist_ok=True)
        with (self._work / "dockerd.log").open("wb") as log:
            self._process = subprocess.Popen(self._inside(self._daemon()), stdout=log, stderr=log)
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(LIMIT)
        run(["ip", "netns", "del", NAMESPACE])

    def docker(self, *words: str | Path, cwd: Path | None = None) -> str:
        """Standard output of the client. Raises EngineError."""
        return run(["docker", *words], env=self.env, cwd=cwd)

    def inside(self, command: Sequence[str | Path]) -> str:
        """Standard output of a program that runs where the published ports are. Raises EngineError."""
        return run(self._inside(command), env=self.env)

    def _daemon(self) -> list[str]:
        data, state = self._work / "data", self._work / "run"
        return [
            "dockerd",
            *("--data-root", str(data), "--exec-root", str(state / "exec"), "--pidfile", str(state / "docker.pid")),
            *("--host", f"unix://{self._socket}"),
        ]

    def _inside(self, command: Sequence[str | Path]) -> list[str | Path]:
        # `ip netns exec` would mount another /sys, without the control groups.
        return ["nsenter", f"--net=/run/netns/{NAMESPACE}", *command]

    def _wait(self) -> None:
        process = self._process
        assert process is not None

        def is_over() -> bool:
            return process.poll() is not None or self._answers()

        wait_until(is_over, limit=READY_SECONDS, what="the engine")
        if not self._answers():
            raise EngineError(f"the engine did not start:\n{(self._work / 'dockerd.log').read_text()[-3_000:]}")

    def _answers(self) -> bool:
        return not subprocess.run(["docker", "version"], env=self.env, capture_output=True).returncode
