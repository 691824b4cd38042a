"""`funnelcast collector --workers N`: N collector processes on one port, and the parent that keeps them alive.

The kernel spreads connections over the processes (SO_REUSEPORT). The parent takes no requests: it reserves the port,
starts a process again when it dies, with back-off, and hands on a stop. What no restart can fix (a wrong setting)
stops all.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from funnelcast.processes.child import ProcessSpec
from funnelcast.processes.supervise import Supervisor
from funnelcast.settings import SettingsError
from funnelcast.signals import stop_event
from schemas.errors import PortTakenError


@dataclass(frozen=True, slots=True)
class CollectorProcess:
    """Which of how many processes this one is, and the directory where they find each other; None where it is alone."""

    index: int = 0
    count: int = 1
    directory: Path | None = None


STOP_SECONDS = 30.0
"""A worker drains its requests, Kafka and the spool within this."""
_LOOK_SECONDS = 0.2
_WRONG_USE = 2


@contextlib.contextmanager
def reserved_port(host: str, port: int) -> Iterator[int]:
    """The number of a port that the processes of this machine's user may share; refused where others have it.

    Raises PortTakenError. Listens to nothing itself.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port:
        with socket.socket(family) as probe:  # alone: two collectors must not share a port by accident
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(probe, host, port=port)
    with socket.socket(family) as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(reserved, host, port=port)
        yield int(reserved.getsockname()[1])


def _bind(listener: socket.socket, host: str, *, port: int) -> None:
    try:
        listener.bind((host, port))
    except OSError:
        raise PortTakenError(f"cannot listen on {host}:{port}; is it in use?") from None


async def run_processes(
    count: int, arguments: Sequence[str], *, host: str, port: int, health: tuple[str, int] | None = None
) -> None:
    """Serve with `count` processes until a signal. `arguments` are those of this command, as they were given; `health`
    is where they serve metrics and health besides.

    Raises SettingsError or NeedsHumanError when a worker gave up for good.
    """
    stop = stop_event()
    with contextlib.ExitStack() as held:
        number = held.enter_context(reserved_port(host, port))
        ports = ["--port", str(number)]
        if health is not None:
            ports += ["--health-port", str(held.enter_context(reserved_port(*health)))]
        directory = held.enter_context(tempfile.TemporaryDirectory(prefix="funnelcast-"))
        async with Supervisor(Path(directory)) as supervisor:
            for index in range(count):
                mine = (*ports, "--worker-index", str(index), "--worker-directory", directory)
                argv = (sys.executable, "-m", "funnelcast", *arguments, *mine)
                spec = ProcessSpec(f"worker-{index}", argv, stop_seconds=STOP_SECONDS, is_logged_apart=False)
                await supervisor.start(spec)
            while not stop.is_set():
                _check(supervisor)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)


def _check(supervisor: Supervisor) -> None:
    for child in supervisor.children.values():
        if child.failure is not None:
            raise SettingsError(str(child.failure)) if child.exits[_WRONG_USE] else child.failure
