"""Runs the command as a user would: a process of its own, stdout and stderr apart."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.waiting import LONG_LIMIT


def start_command(*arguments: str, state_dir: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """`funnelcast ARGUMENTS` without the caller's own FUNNELCAST_ settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FUNNELCAST_", "DEMO_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "funnelcast", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**clean, "FUNNELCAST_STATE_DIR": str(state_dir), **(env or {})},
    )


def run_command(
    *arguments: str, state_dir: Path, env: Mapping[str, str] | None = None, limit: float = LONG_LIMIT
) -> tuple[int, bytes, str]:
    """(exit code, stdout, stderr). Kills it and fails at the deadline."""
    process = start_command(*arguments, state_dir=state_dir, env=env)
    try:
        out, err = process.communicate(timeout=limit)
    finally:
        process.kill()
    return process.returncode, out, err.decode(errors="replace")
