"""One supervised process: started, watched, asked whether it is ready, started again with a pause, stopped. Knows no
service by name and no other child (`funnelcast.processes.supervise` has a group of them).

Laws: a child never outlives this process (leash.py); exit 70 (needs a human) and 2 (wrong use) are final and loud;
whatever else ends is started again, unless it ended five times and was never ready; a stop asks first (SIGTERM) and
insists at a deadline (SIGKILL). Must be used from the main thread: the kernel ties a child to the thread that started
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import operator
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_exponential, wait_fixed

from funnelcast.processes.listening import Listening
from schemas.errors import FunnelcastError, NeedsHumanError, TryAgainError

FINAL_EXITS = frozenset({2, 70})
_BACK_OFF = wait_exponential(multiplier=0.1, max=10.0)
"""Pauses before a child is started again; they begin anew when it was ready."""
VAIN_STARTS = 5
"""A child that ends so often and was never ready has failed: whatever keeps it down does not go away by itself."""
KILLS = frozenset({signal.SIGKILL, signal.SIGTERM})
"""Signals that come from outside: they say nothing about the child."""
STABLE_SECONDS = 5.0
"""A child without a probe counts as ready when it has run this long."""
READINESS_SECONDS = 0.25
POLL_SECONDS = 0.05
LOG_TAIL_LINES = 15
_LEASH = str(Path(__file__).with_name("leash.py"))
Probe = Callable[[], Awaitable[bool]]
Reporter = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How to run one child. `probe` says whether it is ready (never raises for "not yet")."""

    name: str
    argv: tuple[str, ...]
    probe: Probe | None = None
    probe_at: Callable[[int], Awaitable[bool]] | None = None
    """The same for one whose port the system chooses: it is asked with the port that the child's log says."""
    env: Mapping[str, str] = field(default_factory=dict)
    restart: bool = True
    stop_seconds: float = 15.0
    prepare: Callable[[], None] | None = None
    """Called before every start: a port or file to make ready."""
    is_logged_apart: bool = True
    """Its output goes to a file of its own; else to where ours goes."""


class Child:
    """One supervised process. Counters live as long as the supervisor."""

    def __init__(self, spec: ProcessSpec, log: Path, *, report: Reporter) -> None:
        self.spec = spec
        self.log = log
        self.listening = Listening(log)
        self.restarts = 0
        self.exits: Counter[int] = Counter()
        self.failure: FunnelcastError | None = None
        """Why it will not be started again."""
        self._report = report
        self._process: asyncio.subprocess.Process | None = None
        self._has_been_ready = False
        self._ready_process: asyncio.subprocess.Process | None = None
        """The last one that was seen to be ready."""
        self._vain_starts = 0
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._held = asyncio.Event()
        self._held.set()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start the process and its watch; returns at once (see `ready`)."""
        await self._spawn()
        self._task = asyncio.create_task(self._watch(), name=f"watch {self.spec.name}")

    async def ready(self, seconds: float) -> None:
        """Wait for the probe. Raises TryAgainError at the deadline, and the failure of one that ended for good."""
        deadline = time.monotonic() + seconds
        while True:
            if self.failure is not None:
                raise self.failure
            process = self._process
            probe = self.probe()
            if self.pid is not None and (probe is None or await probe()):
                if probe is not None:
                    self._note_ready(process)
                return
            if time.monotonic() > deadline:
                raise TryAgainError(
                    f"{self.spec.name} was not ready within {seconds:.0f} s; its log {self.log} ends:\n{self.tail()}"
                )
            await asyncio.sleep(POLL_SECONDS)

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to the process alone; False when it does not run."""
        pid = self.pid
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def hold(self) -> None:
        """Do not start it again until `release`: for faults that need a pause or a change of its files."""
        self._held.clear()

    def release(self) -> None:
        """End `hold`."""
        self._held.set()

    async def gone(self, seconds: float = 10.0) -> None:
        """Wait until the process has ended. Raises TryAgainError at the deadline."""
        deadline = time.monotonic() + seconds
        while self.pid is not None:
            if time.monotonic() > deadline:
                raise TryAgainError(f"{self.spec.name} (pid {self.pid}) did not end within {seconds:.0f} s")
            await asyncio.sleep(POLL_SECONDS)

    def ask_to_stop(self) -> None:
        """First half of a stop: SIGTERM, no more restarts."""
        self._stopping = True
        self._held.set()
        if self.send(signal.SIGTERM):
            self.send(signal.SIGCONT)  # a stopped process would not see the SIGTERM

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after `stop_seconds`. Returns when nothing of it is left."""
        self.ask_to_stop()
        process = self._process
        if process is not None and process.returncode is None:
            try:
                await asyncio.wait_for(asyncio.shield(process.wait()), self.spec.stop_seconds)
            except TimeoutError:
                self._report(f"{self.spec.name} did not stop within {self.spec.stop_seconds:.0f} s: killed")
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def describe(self) -> str:
        """One line for an error's text."""
        state = "does not run" if self.pid is None else "runs"
        exits = ", ".join(f"{_cause(code)} x{count}" for code, count in self.exits.items())
        return f"{self.spec.name} {state}; ended: {exits or 'never'}; log: {self.log}"

    def probe(self) -> Probe | None:
        """What says whether it is ready, wherever it listens; None where nothing does."""
        return self.spec.probe if self.spec.probe_at is None else self._answers_where_it_listens

    async def _answers_where_it_listens(self) -> bool:
        port = self.listening.port()
        return port is not None and self.spec.probe_at is not None and await self.spec.probe_at(port)

    def _is_stopping(self) -> bool:
        return self._stopping

    def _last_words(self) -> str:
        return f"; its log {self.log} ends:\n{self.tail()}" if self.spec.is_logged_apart else ""

    def tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """Last lines of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 65_536))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    async def _spawn(self) -> None:
        if self.spec.prepare is not None:
            self.spec.prepare()
        self.listening.begin()
        argv = (sys.executable, "-I", "-S", _LEASH, str(os.getpid()), *self.spec.argv)
        with self.log.open("ab") if self.spec.is_logged_apart else contextlib.nullcontext() as log:
            # its own session: Ctrl-C reaches us alone, and we stop the children in order
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.spec.env},
                start_new_session=True,
            )

    async def _watch(self) -> None:
        """Start it again whenever it ends, until it is stopped or has failed for good."""
        starts = AsyncRetrying(retry=retry_if_result(bool), wait=self._back_off, before_sleep=self._report_restart)
        await starts(self._run_once)

    async def _run_once(self) -> bool:
        """One life of the process; whether it has to be started again."""
        if self.pid is None:
            await self._held.wait()
            if self._is_stopping():  # it may have been asked to while we slept
                return False
            self.restarts += 1
            await self._spawn()
        code = await self._ended()
        if self._is_stopping():
            return False
        self.exits[code] += 1
        self.failure = self._failure_by(code)
        if self.failure is not None:
            self._report(str(self.failure))
        return self.failure is None

    async def _ended(self) -> int:
        """The exit code; until then the process is asked whether it is ready."""
        process = self._process
        assert process is not None  # noqa: S101 - it was started
        asking = asyncio.create_task(self._await_readiness(process), name=f"readiness of {self.spec.name}")
        try:
            return await process.wait()
        finally:
            asking.cancel()

    async def _await_readiness(self, process: asyncio.subprocess.Process) -> None:
        probe = self.probe()
        if probe is None:
            await asyncio.sleep(STABLE_SECONDS)
        else:
            unready = AsyncRetrying(retry=retry_if_result(operator.not_), wait=wait_fixed(READINESS_SECONDS))
            await unready(probe)
        self._note_ready(process)

    def _note_ready(self, process: asyncio.subprocess.Process | None) -> None:
        self._has_been_ready = True
        self._ready_process = process

    def _failure_by(self, code: int) -> FunnelcastError | None:
        """Why it is not started again after this exit code; None when it is."""
        name = self.spec.name
        if code in FINAL_EXITS or not self.spec.restart:
            return NeedsHumanError(f"{name} ended with exit code {code}{self._last_words()}")
        if self._has_been_ready or -code in KILLS:
            return None
        self._vain_starts += 1
        if self._vain_starts < VAIN_STARTS:
            return None
        kind = TryAgainError if code == TryAgainError.exit_code else NeedsHumanError
        return kind(f"{name} ended {VAIN_STARTS} times before it was ready ({_cause(code)}){self._last_words()}")

    def _back_off(self, state: RetryCallState) -> float:
        if self._ready_process is self._process:
            state.attempt_number = 1  # it was ready: the pauses begin anew
        return _BACK_OFF(state)

    def _report_restart(self, state: RetryCallState) -> None:
        code = self._process.returncode if self._process is not None else None
        if code is not None:
            self._report(f"{self.spec.name} ended ({_cause(code)}): started again in {state.upcoming_sleep:.1f} s")


def _cause(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
