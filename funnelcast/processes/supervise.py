"""A group of child processes: started, awaited and stopped together. Knows no service by name.

`funnelcast.processes.child` says what becomes of each. Must be used from the main thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from funnelcast.processes.child import Child, ProcessSpec, Reporter
from funnelcast.say import say
from producers.files.durable import make_private


class Supervisor:
    """A group of children with one state directory; an async context manager that leaves none behind."""

    def __init__(self, directory: Path, *, report: Reporter | None = None) -> None:
        self.directory = directory
        self.children: dict[str, Child] = {}
        self._report = report or (lambda line: say(f"funnelcast: {line}", err=True))

    async def __aenter__(self) -> Supervisor:
        make_private(self.directory)
        (self.directory / "logs").mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self, spec: ProcessSpec) -> Child:
        """Start one more child under its own name; logs go to `logs/<name>.log`."""
        child = Child(spec, self.directory / "logs" / f"{spec.name}.log", report=self._report)
        self.children[spec.name] = child
        await child.start()
        return child

    async def ready(self, seconds: float = 30.0) -> None:
        """Wait for every child."""
        await asyncio.gather(*(child.ready(seconds) for child in self.children.values()))

    def check(self) -> None:
        """Raise the failure of a child that will not be started again."""
        for child in self.children.values():
            if child.failure is not None:
                raise child.failure

    def describe(self) -> str:
        """Every child in a line, for an error: how it is, how often it ended and how, where its log is."""
        return "\n".join(child.describe() for child in self.children.values())

    def restarts(self) -> dict[str, int]:
        """Restarts by child."""
        return {name: child.restarts for name, child in self.children.items()}

    async def stop(self, names: Sequence[str] | None = None) -> None:
        """Stop the named children (all), together, each within its own deadline."""
        chosen = [child for name, child in self.children.items() if names is None or name in names]
        await asyncio.gather(*(child.stop() for child in chosen))
        for child in chosen:
            self.children.pop(child.spec.name, None)
