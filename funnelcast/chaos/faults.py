"""The faults of a chaos run: what is done to which process, drawn by a seed. Judges nothing."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from funnelcast.processes.child import Child
from funnelcast.processes.supervise import Supervisor
from funnelcast.stack.embedded import EmbeddedStack, torn_tail

KINDS = (
    "worker_kill",
    "valkey_kill_torn",
    "worker_stop",
    "collector_kill",
    "worker_term",
    "valkey_kill",
    "collector_stop",
)
BROKER_KINDS = ("broker_kill", "broker_term")
STOPPED_SECONDS = (2.0, 9.0)
"""How long a process is held still: below and above the time after which the group gives its partitions away."""
QUIET_SECONDS = (3.0, 8.0)
SILENCE_EVERY = 2
"""A partition goes quiet after every second fault."""
AWAY_SECONDS = (0.0, 0.5, 3.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing done to the running system."""

    at_seconds: float
    kind: str
    detail: str = ""


class Broker(Protocol):
    """A real broker as chaos sees it. The embedded one has no such faults: its log is in memory."""

    async def restart(self, number: signal.Signals) -> None:
        """Send the signal, wait for the end, start again on the same port and log, return when it answers."""


class Disturber:
    """Strikes one fault after the other. `flowing`: by partition, whether its events may flow."""

    def __init__(
        self,
        *,
        stack: EmbeddedStack,
        services: Supervisor,
        broker: Broker | None,
        flowing: Sequence[asyncio.Event],
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self._stack, self._services, self._broker, self._flowing, self._say = stack, services, broker, flowing, say
        self._chooser = random.Random(seed)
        self.faults: list[Fault] = []
        self.silences = 0

    async def run(
        self, kinds: Sequence[str], *, began: float, seconds: float, while_running: Sequence[asyncio.Task[None]]
    ) -> None:
        """Spread the faults evenly over the time; a failure of what runs meanwhile ends the waiting."""
        for number, kind in enumerate(kinds, 1):
            due = began + seconds * number / (len(kinds) + 1)
            left = max(0.0, due - time.monotonic())
            await asyncio.wait(while_running, timeout=left, return_when=asyncio.FIRST_EXCEPTION)
            self._stack.check()
            self._services.check()
            at = time.monotonic() - began
            detail = await self._strike(kind)
            self.faults.append(Fault(round(at, 1), kind, detail))
            self._say(f"{at:6.1f} s  {kind}: {detail}")
            if number % SILENCE_EVERY == 0:
                self._silence()

    async def _strike(self, kind: str) -> str:
        target, _, how = kind.partition("_")
        if target == "valkey":
            return await self._kill_valkey(torn=how == "kill_torn")
        if target == "broker":
            assert self._broker is not None  # noqa: S101 - such kinds are drawn with a broker only
            began = time.monotonic()
            await self._broker.restart(signal.SIGKILL if how == "kill" else signal.SIGTERM)
            return f"answers again after {time.monotonic() - began:.1f} s"
        return await self._hit(self._pick(target), how)

    async def _kill_valkey(self, *, torn: bool) -> str:
        torn_bytes = torn_tail(self._chooser) if torn else 0
        pause = self._chooser.choice(AWAY_SECONDS)
        await self._stack.restart_valkey(torn_bytes=torn_bytes, pause_seconds=pause)
        return f"away {pause} s" + (f", {torn_bytes} bytes of its log torn off" if torn else "")

    def _pick(self, target: str) -> Child:
        names = sorted(name for name in self._services.children if name.startswith(target))
        return self._services.children[self._chooser.choice(names)]

    async def _hit(self, child: Child, how: str) -> str:
        if how == "stop":
            seconds = self._chooser.choice(STOPPED_SECONDS)
            child.send(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            child.send(signal.SIGCONT)
            return f"{child.spec.name} held still for {seconds} s"
        was_running = child.send(signal.SIGKILL if how == "kill" else signal.SIGTERM)
        return child.spec.name + ("" if was_running else " (was just being started again)")

    def _silence(self) -> None:
        """A partition without events: what was lost there is not noticed by its next event."""
        partition, seconds = self._chooser.randrange(len(self._flowing)), self._chooser.choice(QUIET_SECONDS)
        self._flowing[partition].clear()
        asyncio.get_running_loop().call_later(seconds, self._flowing[partition].set)
        self.silences += 1
        self._say(f"          no events for partition {partition} for {seconds} s")
