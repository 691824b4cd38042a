"""Free loopback ports. Chooses, opens nothing that stays."""

from __future__ import annotations

import os
import random
import socket

# Below the range from which systems take ports of outgoing connections (Linux 32768+, others 49152+): a server that is
# started again would otherwise find its port taken by one of its own waiting clients, or a client connected to itself.
_LOWEST, _HIGHEST = 20_000, 32_000
_given: set[int] = set()
"""Numbers handed out by this process: the server that will listen there may not have begun yet."""
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
    """A loopback port on which nobody listens now, never the same one twice. Raises OSError when none is found."""
    for _ in range(200):
        port = _chooser.randrange(_LOWEST, _HIGHEST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free loopback port between {_LOWEST} and {_HIGHEST}")
