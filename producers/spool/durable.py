"""Small files that survive a power failure: written whole or not at all. Raises OSError where the disk fails."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)
"""Data, and as much of the metadata as is needed to read it again."""


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """All of the data at this place of a file."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def write_json(path: Path, value: object, *, folder: int) -> None:
    """Replace a file at once; `folder` is the descriptor of its directory."""
    fresh = path.with_name(f".{path.name}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, json.dumps(value).encode(), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    os.fsync(folder)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def cut(path: Path, size: int) -> None:
    """Shorten a file, durably."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
