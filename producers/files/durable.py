"""Small files that survive a crash and a power failure: replaced whole or not at all. Raises OSError.

Knows bytes and paths; what is in a file is its owner's business.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

OWNER_ONLY: Final = 0o600
sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)
"""Data, and as much of the metadata as is needed to read it again."""


def make_private(path: Path) -> None:
    """Make a directory that its owner only can look into, where there is none. One that cannot be made is left to whom
    needs it."""
    if not path.exists():
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)


def write_atomically(path: Path, data: bytes, *, mode: int = OWNER_ONLY, is_synced: bool = True) -> None:
    """Replace a file at once: a reader sees the old content or the new one, whole, whenever this process is killed.

    After it has returned the new one also survives a power failure. Without `is_synced` it survives the death of this
    process only, which costs no wait for the disk. Missing directories are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write_new(temporary, data, mode=mode, is_synced=is_synced)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if is_synced:
        sync_directory(path.parent)


def _write_new(path: Path, data: bytes, *, mode: int, is_synced: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)  # one left by a process of the same number has its own mode, and there is a umask
        write_all(descriptor, data, offset=0)
        if is_synced:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make what was created, renamed or removed in a directory survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes, *, offset: int) -> None:
    """All of the data at this place of a file."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None where there is none."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def cut(path: Path, size: int) -> None:
    """Shorten a file, durably."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
