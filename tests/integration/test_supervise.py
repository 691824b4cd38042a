"""Children are started again with a back-off, not after exit 70 or 2, and a stop asks before it insists."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tenacity import wait_exponential

from funnelcast.processes.child import Child, ProcessSpec
from funnelcast.processes.supervise import Supervisor
from schemas.errors import NeedsHumanError, TryAgainError
from tests.support.rows import rows
from tests.support.waiting import LIMIT, until

SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    async with Supervisor(tmp_path, report=lambda line: None) as supervisor:
        yield supervisor


def spec(code: str, name: str = "child", stop_seconds: float = 5) -> ProcessSpec:
    return ProcessSpec(name=name, argv=(sys.executable, "-c", code), stop_seconds=stop_seconds)


async def test_a_killed_child_is_started_again(supervisor: Supervisor) -> None:
    child = await supervisor.start(spec(SLEEPER))
    first = child.pid
    assert child.send(signal.SIGKILL)
    await until(lambda: child.restarts == 1 and child.pid not in (None, first))
    assert child.exits == {-signal.SIGKILL: 1}
    assert supervisor.restarts() == {"child": 1}
    supervisor.check()


@rows("code", [2, 70])
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
    began = time.monotonic()
    child = await supervisor.start(spec("raise SystemExit(75)"))
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
    child = await supervisor.start(spec(SLEEPER, stop_seconds=600))
    child.send(signal.SIGSTOP)
    await asyncio.wait_for(child.stop(), LIMIT)
    assert child.pid is None


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


@pytest.fixture
def quick_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funnelcast.processes.child._BACK_OFF", wait_exponential(multiplier=0.01, max=0.1))


@pytest.mark.usefixtures("quick_back_off")
@pytest.mark.parametrize(("code", "kind"), [(75, TryAgainError), (1, NeedsHumanError)])
async def test_five_starts_in_vain_are_a_failure_with_its_last_words(
    supervisor: Supervisor, code: int, kind: type[Exception]
) -> None:
    async def never() -> bool:
        return False

    argv = (sys.executable, "-c", f"import sys; print('the port is taken', flush=True); sys.exit({code})")
    child = await supervisor.start(ProcessSpec(name="worker-1", argv=argv, probe=never))
    with pytest.raises(kind) as caught:
        await child.ready(30)
    text = f"worker-1 ended 5 times before it was ready (exit code {code}); its log {child.log} ends:\n"
    assert str(caught.value).startswith(text)
    assert str(caught.value).endswith("the port is taken")
    with pytest.raises(kind):
        supervisor.check()
    assert (child.exits, child.restarts) == ({code: 5}, 4)


WAITS_FOR_WORD = """
import pathlib, sys, time
ready, go = map(pathlib.Path, sys.argv[1:])
if go.exists():
    sys.exit(75)
ready.touch()
while not go.exists():
    time.sleep(0.01)
sys.exit(75)
"""


@pytest.mark.usefixtures("quick_back_off")
async def test_a_child_that_was_ready_is_started_again_however_often(supervisor: Supervisor, tmp_path: Path) -> None:
    ready, go = tmp_path / "ready", tmp_path / "go"

    async def is_ready() -> bool:
        return ready.exists()

    argv = (sys.executable, "-c", WAITS_FOR_WORD, str(ready), str(go))
    child = await supervisor.start(ProcessSpec(name="child", argv=argv, probe=is_ready))
    await child.ready(30)
    ready.unlink()
    go.touch()
    await until(lambda: child.restarts >= 7)
    assert child.failure is None


@pytest.mark.usefixtures("quick_back_off")
async def test_kills_from_outside_are_no_starts_in_vain(supervisor: Supervisor) -> None:
    async def never() -> bool:
        return False

    child = await supervisor.start(ProcessSpec(name="child", argv=(sys.executable, "-c", SLEEPER), probe=never))
    for number in range(1, 8):
        await until(lambda: child.send(signal.SIGKILL))
        await until(lambda number=number: child.exits.total() == number)  # type: ignore[misc]
    await until(lambda: child.pid is not None)
    assert child.failure is None


async def test_the_back_off_begins_anew_when_it_was_ready(tmp_path: Path) -> None:
    said: list[str] = []
    is_up = [False]

    async def probe() -> bool:
        return is_up[0]

    async with Supervisor(tmp_path, report=said.append) as supervisor:
        child = await supervisor.start(ProcessSpec(name="child", argv=(sys.executable, "-c", SLEEPER), probe=probe))
        for number, is_ready in enumerate((False, False, True, False), start=1):
            is_up[0] = is_ready
            if is_ready:
                await child.ready(30)
            await until(lambda: child.send(signal.SIGKILL))
            is_up[0] = False
            await until(lambda number=number: len(said) == number)  # type: ignore[misc]
    assert [line.rpartition(" in ")[2] for line in said] == ["0.1 s", "0.2 s", "0.1 s", "0.2 s"]


async def test_a_description_names_every_child_its_ends_and_its_log(supervisor: Supervisor) -> None:
    child = await supervisor.start(spec(SLEEPER, "worker-1"))
    assert supervisor.describe() == f"worker-1 runs; ended: never; log: {child.log}"
    child.send(signal.SIGKILL)
    await until(lambda: child.restarts == 1 and supervisor.describe().startswith("worker-1 runs"))
    assert supervisor.describe() == f"worker-1 runs; ended: signal SIGKILL x1; log: {child.log}"


LISTENER = """
import json, socket, time
server = socket.create_server(("127.0.0.1", 0))
print("half of a line that says listening", flush=True)
print(json.dumps({"event": "listening", "url": f"http://127.0.0.1:{server.getsockname()[1]}"}), flush=True)
time.sleep(60)
"""


async def test_a_child_is_asked_where_its_log_says_that_it_listens_now(supervisor: Supervisor) -> None:
    asked: list[int] = []

    async def is_ready(port: int) -> bool:
        asked.append(port)
        return True

    child = await supervisor.start(ProcessSpec("child", (sys.executable, "-c", LISTENER), probe_at=is_ready))
    await child.ready(LIMIT)
    first = child.listening.port()
    assert first is not None
    assert set(asked) == {first}
    child.send(signal.SIGKILL)
    await until(lambda: child.restarts == 1)
    await child.ready(LIMIT)
    assert asked[-1] == child.listening.port()
    assert child.log.read_text().splitlines()[-1].endswith(f':{child.listening.port()}"}}')
