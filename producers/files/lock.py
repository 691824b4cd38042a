"""A lock that one process of the machine has at a time; it goes with the process, however that ends. Raises OSError."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FileLock:
    """Of a file that is made for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> bool:
        """Whether it is ours now; never waits."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Leave it to others; nothing where it is not ours."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
