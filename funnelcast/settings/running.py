"""The file that says where a stack runs that was started here, as funnelcast.toml would, so that commands find it.

It is locked for as long as its stack runs: a file that nobody has locked is left over from one that was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from funnelcast.settings.errors import SettingsError
from producers.files.durable import make_private

NAME: Final = "running.toml"
_TRIES, _PAUSE_SECONDS = 10, 0.05
"""A command that looks holds the lock for a moment."""


def running(state_dir: Path) -> tuple[Path, dict[str, Any]] | None:
    """The file and its settings; None where no stack of this state directory runs."""
    path = state_dir / NAME
    try:
        with path.open("rb") as file:
            if _lock(file.fileno(), fcntl.LOCK_SH):
                return None
            return path, tomllib.loads(file.read().decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None


@contextmanager
def place(state_dir: Path) -> Iterator[Place]:
    """The state directory's place, for the time of a `with`. Raises SettingsError where another stack has it."""
    make_private(state_dir)
    path = state_dir / NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(descriptor):
            raise SettingsError(f"{path}: another stack or demo runs here; stop it, or choose another directory")
        os.ftruncate(descriptor, 0)
        try:
            yield Place(path.resolve(), descriptor)
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to tell of a stack."""

    path: Path
    _descriptor: int

    def tell(self, settings: Mapping[str, object]) -> None:
        """From now on commands of this state directory have these settings where they have no others."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, written(settings).encode(), 0)


def written(settings: Mapping[str, object]) -> str:
    """As TOML: texts and lists of texts."""
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in settings.items())


def _locked(descriptor: int) -> bool:
    for _ in range(_TRIES):
        if _lock(descriptor, fcntl.LOCK_EX):
            return True
        time.sleep(_PAUSE_SECONDS)
    return False


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
