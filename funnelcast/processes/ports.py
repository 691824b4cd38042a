"""Free loopback ports. Chooses, listens to nothing.

A number is given once: the server that will listen there may not have begun yet. Between the processes of one user a
file says which are taken: each is one byte of it, locked for as long as the process that was given it lives.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

# Below the range from which systems take ports of outgoing connections (Linux 32768+, others 49152+): a server that is
# started again would otherwise find its port taken by one of its own waiting clients, or a client connected to itself.
_LOWEST, _HIGHEST = 20_000, 32_000
_given: set[int] = set()
"""By this process: the locks of a process do not keep itself out."""
_chooser = random.Random(os.getpid() ^ int.from_bytes(os.urandom(4), "big"))


def is_free(port: int) -> bool:
    """Whether a loopback server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port on which nobody listens now, and which nobody else was given. Raises OSError when none is
    found."""
    for _ in range(200):
        port = _chooser.randrange(_LOWEST, _HIGHEST)
        if port not in _given and _is_ours(port) and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free loopback port between {_LOWEST} and {_HIGHEST}")


def port_like(wanted: int) -> int:
    """This port, which people may remember, or a free one where somebody has it. Raises OSError when none is found."""
    if wanted in _given or not _is_ours(wanted) or not is_free(wanted):
        return free_port()
    _given.add(wanted)
    return wanted


def _is_ours(port: int) -> bool:
    """Lock its byte; False where another process has it."""
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _locks() -> int:
    """The file, never closed: to close it would end all locks."""
    path = Path(tempfile.gettempdir()) / f"funnelcast-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
