"""Runs the command as a user would: a process of its own, stdout and stderr apart. A short command is forked from
tests/support/template.py; what lives longer, or is to start as Python does, is `start_command`'s."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support import template
from tests.support.waiting import LONG_LIMIT


def start_command(
    *arguments: str, state_dir: Path, env: Mapping[str, str] | None = None, log: Path | None = None
) -> subprocess.Popen[bytes]:
    """`funnelcast ARGUMENTS` without the caller's own FUNNELCAST_ settings; what it says is appended to `log`, or
    comes through pipes that somebody must read."""
    command, environment = [sys.executable, "-m", "funnelcast", *arguments], _environment(state_dir, env)
    if log is None:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment)


def _environment(state_dir: Path, env: Mapping[str, str] | None) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FUNNELCAST_", "DEMO_"))}
    return {**clean, "FUNNELCAST_STATE_DIR": str(state_dir), **(env or {})}


def run_command(
    *arguments: str,
    state_dir: Path,
    env: Mapping[str, str] | None = None,
    limit: float = LONG_LIMIT,
    directory: Path | None = None,
) -> tuple[int, bytes, str]:
    """(exit code, stdout, stderr), run in `directory`, or here. Kills it and fails at the limit."""
    if env is not None and any(name.startswith(template.NO_TEMPLATE) for name in env):
        return _run_anew(*arguments, state_dir=state_dir, env=env, limit=limit)
    code, out, err = template.run([*arguments], _environment(state_dir, env), directory or Path.cwd(), limit)
    return code, out, err.decode(errors="replace")


def _run_anew(*arguments: str, state_dir: Path, env: Mapping[str, str], limit: float) -> tuple[int, bytes, str]:
    process = start_command(*arguments, state_dir=state_dir, env=env)
    try:
        out, err = process.communicate(timeout=limit)
    finally:
        process.kill()
    return process.returncode, out, err.decode(errors="replace")
