"""What every command owes whoever types it: no traceback, an end when it is told, any locale, an exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.support.command import run_command, start_command
from tests.support.rows import rows
from tests.support.waiting import LIMIT, wait_until

ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
LONG = 400_000
"""Events that take minutes."""


@pytest.mark.parametrize("arguments", [["--help"], ["report", "--help"], ["funnels", "list"]], ids=" ".join)
def test_a_terminal_without_unicode_gets_plain_letters(arguments: list[str], tmp_path: Path) -> None:
    code, out, err = run_command(*arguments, state_dir=tmp_path, env=ASCII)
    assert (code, err) == (0, "")
    assert out.isascii()


@pytest.mark.parametrize(
    ("arguments", "expected", "said"),
    [
        (["keys", "create", "--source", "web", "--keys", "/proc/none/keys.json"], 2, "/proc/none"),
        (["topics", "create", "--kafka", "127.0.0.1:9"], 75, "Kafka at 127.0.0.1:9 does not answer"),
        (["report", "--redis", "redis://127.0.0.1:9"], 75, "Redis does not answer"),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], expected: int, said: str, tmp_path: Path) -> None:
    code, out, err = run_command(*arguments, state_dir=tmp_path)
    assert (code, out) == (expected, b"")
    assert err.startswith("funnelcast: ")
    assert said in err
    assert len(err.splitlines()) == 1


CLOSED = [["funnels", "show", "web"], ["config", "--json"], ["simulate", "--seed", "1", "--events", "9"], ["--help"]]


@rows("arguments", CLOSED, ids=" ".join)
def test_an_output_that_is_closed_is_no_error(arguments: list[str], tmp_path: Path) -> None:
    line = f'exec "$0" -m funnelcast {" ".join(arguments)} >&-'
    done = subprocess.run(["bash", "-c", line, sys.executable], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_has_enough_ends_the_command_without_a_word(tmp_path: Path) -> None:
    process = start_command("simulate", "--seed", "1", "--events", "1000000", state_dir=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 1, 141)


def test_sixty_columns_without_colours_lose_nothing_unsaid(tmp_path: Path) -> None:
    narrow = {"COLUMNS": "60", "NO_COLOR": "1"}
    code, events, _ = run_command("simulate", "--seed", "1", "--events", "800", state_dir=tmp_path)
    assert code == 0
    log = tmp_path / "events.jsonl"
    log.write_bytes(events)
    tables = [["funnels", "list"], ["replay", "--funnel", "sales", "--events", str(log)], ["report", "--help"]]
    for arguments in tables:
        code, out, _ = run_command(*arguments, state_dir=tmp_path, env=narrow)
        text = out.decode()
        assert (code, "\x1b" in text) == (0, False), arguments
        assert not [line for line in text.splitlines() if cell_len(line) > 60], arguments
    code, out, _ = run_command(*tables[1], state_dir=tmp_path, env=narrow)
    assert "no room for: " in out.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_computation_ends_when_it_is_told(number: signal.Signals, tmp_path: Path) -> None:
    code, events, _ = run_command("simulate", "--seed", "1", "--events", "1000", state_dir=tmp_path)
    assert code == 0
    log, count = tmp_path / "events.jsonl", LONG // 1000
    log.write_bytes(b"".join(events.replace(b'"id":"s1-', b'"id":"s%d-' % again) for again in range(count)))
    process = start_command("replay", "--funnel", "sales", "--events", str(log), "--json", state_dir=tmp_path)
    handled = 1 << (signal.SIGTERM - 1)  # Python itself handles SIGINT from its start on
    try:
        wait_until(lambda: handled & _caught(process.pid), what="the command listens to signals")
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err


def _caught(pid: int) -> int:
    """Signals that the process has a handler for."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("SigCgt:")), 16)


@pytest.mark.parametrize(
    ("arguments", "line", "code"),
    [
        (["chaos", "--seconds", "60", "--events", "20000000"], b"drawing", 130),
        (["stack", "up", "--all", "--dir", "here"], b"evaluation", 0),
    ],
    ids=["a thread that computes", "services that still start"],
)
def test_what_has_only_begun_ends_when_it_is_told(arguments: list[str], line: bytes, code: int, tmp_path: Path) -> None:
    process = start_command(*[str(tmp_path) if each == "here" else each for each in arguments], state_dir=tmp_path)
    assert process.stderr is not None
    try:
        while line not in process.stderr.readline():
            pass
        wait_until(lambda: 1 << (signal.SIGTERM - 1) & _caught(process.pid), what="the command listens to signals")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert (process.returncode, out) == (code, b"")
    assert b"Traceback" not in err


def test_an_interruption_that_python_throws_away_is_said_again() -> None:
    """One that comes within a destructor or a callback, as while modules are imported."""
    program = """
import funnelcast.__main__ as start, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it
class Last:
    def __del__(self):
        raise KeyboardInterrupt
sys.unraisablehook = start._hear_again
Last()
signal.pause()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=LIMIT, check=False)
    assert done.returncode == -signal.SIGINT
    assert b"ignored" not in done.stderr
