"""One embedded stack for a whole test session, started through the command as a user would. Tests share it by using
spaces of their own (`fresh_space`)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.waiting import LIMIT


@dataclass(frozen=True, slots=True)
class StackAddresses:
    """Where the embedded servers listen."""

    kafka: str
    redis: str


def read_line(process: subprocess.Popen[str], limit: float = LIMIT) -> str:
    """First stdout line of a process. Kills it and fails at the deadline."""
    assert process.stdout is not None
    timer = threading.Timer(limit, process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    assert line, f"{process.args!r} ended or said nothing within {limit:g} s"
    return line


def start_stack(directory: Path) -> tuple[subprocess.Popen[str], StackAddresses]:
    """`funnelcast stack up` as a process, ready to use."""
    process = subprocess.Popen(
        [sys.executable, "-m", "funnelcast", "stack", "up", "--dir", str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return process, StackAddresses(**json.loads(read_line(process)))


def stop_stack(process: subprocess.Popen[str]) -> int:
    """SIGTERM, and the exit code."""
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(LIMIT)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()
    return code


@pytest.fixture(scope="session")
def embedded_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackAddresses]:
    """Addresses of a running embedded stack."""
    process, addresses = start_stack(tmp_path_factory.mktemp("stack"))
    try:
        yield addresses
    finally:
        stop_stack(process)


@pytest.fixture
def fresh_space() -> str:
    """A space that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}"
