"""A directory of its own for one run, within the state directory: removed with the run, kept when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from producers.files.durable import make_private
from schemas.errors import FunnelcastError


@dataclass(slots=True)
class RunDirectory:
    """A directory of its own for one run, within the state directory. It goes with the run, and stays when the run
    fails (its logs say why) or when it is told to."""

    path: Path
    is_kept: bool = False

    @classmethod
    @contextlib.contextmanager
    def new(cls, state_dir: Path, purpose: str) -> Iterator[RunDirectory]:
        """For the time of a `with`."""
        make_private(state_dir)
        directory = cls(Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=state_dir)))
        try:
            yield directory
        except (asyncio.CancelledError, KeyboardInterrupt):
            shutil.rmtree(directory.path, ignore_errors=True)
            raise
        except FunnelcastError as error:
            error.args = (f"{error}\nlogs and data of this run are kept in {directory.path}",)
            raise
        if not directory.is_kept:
            shutil.rmtree(directory.path, ignore_errors=True)
