"""Commands as processes of their own: how they end, and what their help imports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import LIMIT


def test_a_command_ends_with_the_code_and_one_line(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "funnelcast", "funnels", "show", str(tmp_path / "none.yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, timeout=LIMIT, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("funnelcast: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ("collector", "--open", "--port"),
        ("worker", "--health-port"),
        ("exporter", "--port"),
        ("web", "--port"),
    ],
    ids=lambda command: command[0],
)
def test_a_taken_port_is_wrong_use_for_every_process(command: tuple[str, ...], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        argv = [sys.executable, "-m", "funnelcast", *command, port]
        env = {**os.environ, "FUNNELCAST_KAFKA": "127.0.0.1:1", "FUNNELCAST_REDIS": "redis://127.0.0.1:1"}
        env |= {"FUNNELCAST_STATE_DIR": str(tmp_path), "FUNNELCAST_FUNNELS": "sales"}
        done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=LIMIT, check=False)
    assert done.returncode == 2, done.stderr
    assert port in done.stderr.splitlines()[-1]
    assert "cannot listen" in done.stderr


CLIENTS = ("aiokafka", "faust", "redis", "httpx", "uvicorn", "uvloop", "starlette", "prometheus_client", "yaml")


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], (*CLIENTS, "pydantic", "rich.progress")),
        (["collector", "--help"], CLIENTS),  # typer itself brings pydantic where it parses arguments
        (["worker", "--help"], CLIENTS),
    ],
)
def test_help_imports_no_client(arguments: list[str], heavy: tuple[str, ...]) -> None:
    """This is what keeps it quick."""
    program = (
        "import sys\nfrom funnelcast.cli import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"sys.exit(' '.join(name for name in {heavy!r} if name in sys.modules) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout
