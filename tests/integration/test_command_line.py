"""What every command owes whoever types it: no traceback, an end when it is told, any locale, an exit code."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.command import run_command, start_command
from tests.support.waiting import wait_until

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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_computation_ends_when_it_is_told(number: signal.Signals, tmp_path: Path) -> None:
    code, events, _ = run_command("simulate", "--seed", "1", "--events", "1000", state_dir=tmp_path)
    assert code == 0
    log, count = tmp_path / "events.jsonl", LONG // 1000
    log.write_bytes(b"".join(events.replace(b'"id":"s1-', b'"id":"s%d-' % again) for again in range(count)))
    process = start_command("replay", "--funnel", "sales", "--events", str(log), "--json", state_dir=tmp_path)
    handled = 1 << (signal.SIGTERM - 1)  # Python itself handles SIGINT from its start on
    try:
        wait_until(lambda: handled & _caught(process.pid), seconds=60, what="the command listens to signals")
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err


def _caught(pid: int) -> int:
    """Signals that the process has a handler for."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("SigCgt:")), 16)
