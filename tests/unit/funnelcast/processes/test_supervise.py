"""Children are started again with a back-off, not after exit 70 or 2, and a stop asks before it insists."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from funnelcast.processes.supervise import Child, ProcessSpec, Supervisor
from schemas.errors import NeedsHumanError, TryAgainError

SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    async with Supervisor(tmp_path, report=lambda line: None) as one:
        yield one


def spec(code: str, name: str = "child", stop_seconds: float = 5) -> ProcessSpec:
    return ProcessSpec(name=name, argv=(sys.executable, "-c", code), stop_seconds=stop_seconds)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_killed_child_is_started_again(supervisor: Supervisor) -> None:
    child = await supervisor.start(spec(SLEEPER))
    first = child.pid
    assert child.send(signal.SIGKILL)
    await until(lambda: child.restarts == 1 and child.pid not in (None, first))
    assert child.exits == {-signal.SIGKILL: 1}
    assert supervisor.restarts() == {"child": 1}
    supervisor.check()


@pytest.mark.parametrize("code", [2, 70])
async def test_a_final_exit_is_final_and_loud(tmp_path: Path, code: int) -> None:
    said: list[str] = []
    async with Supervisor(tmp_path, report=said.append) as supervisor:
        child = await supervisor.start(spec(f"import sys; print('the log was cut', flush=True); sys.exit({code})"))
        await until(lambda: child.failure is not None)
        assert child.restarts == 0
        with pytest.raises(NeedsHumanError, match="the log was cut"):
            supervisor.check()
        with pytest.raises(NeedsHumanError):
            await child.ready(5)
    assert any(f"exit code {code}" in line for line in said)


async def test_the_back_off_grows(supervisor: Supervisor) -> None:
    child = await supervisor.start(spec("raise SystemExit(75)"))
    began = time.monotonic()
    await until(lambda: child.restarts == 3)
    assert time.monotonic() - began >= 0.1 + 0.2 + 0.4


async def test_held_back_until_released(supervisor: Supervisor) -> None:
    child = await supervisor.start(spec(SLEEPER))
    child.hold()
    child.send(signal.SIGKILL)
    await child.gone()
    await until(lambda: child.exits.total() == 1)
    assert (child.pid, child.restarts) == (None, 0)
    child.release()
    await until(lambda: child.pid is not None)


async def test_stop_asks_then_insists(tmp_path: Path) -> None:
    said: list[str] = []
    async with Supervisor(tmp_path, report=said.append) as supervisor:
        polite = await supervisor.start(spec(SLEEPER, "polite"))
        deaf = await supervisor.start(spec(STUBBORN, "deaf", stop_seconds=0.3))
        await until(lambda: "deaf" in deaf.tail())
        await supervisor.stop()
        assert (polite.pid, deaf.pid) == (None, None)
    assert said == ["deaf did not stop within 0 s: killed"]


async def test_a_stopped_process_can_be_stopped(supervisor: Supervisor) -> None:
    child = await supervisor.start(spec(SLEEPER))
    child.send(signal.SIGSTOP)
    began = time.monotonic()
    await child.stop()
    assert (child.pid, time.monotonic() - began < 4) == (None, True)


async def test_not_ready_says_what_the_log_says(supervisor: Supervisor) -> None:
    async def never() -> bool:
        return False

    child: Child = await supervisor.start(
        ProcessSpec(
            name="slow", argv=(sys.executable, "-c", f"print('waiting for godot', flush=True); {SLEEPER}"), probe=never
        )
    )
    await until(lambda: "godot" in child.tail())
    with pytest.raises(TryAgainError, match="waiting for godot"):
        await child.ready(0.1)
