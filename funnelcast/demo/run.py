"""The main job: everything on this machine. A real purchase history through the collector first, then a live shop.

Composes the embedded stack, the processes and the view; counts nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from pathlib import Path

import orjson

from funnelcast.demo.live import PARTITIONS, WORKERS, DemoPlan, definition_of, live_shop
from funnelcast.demo.view import History, View
from funnelcast.replay.memory import Refusals, ReplayJob
from funnelcast.replay.stack import count_on
from funnelcast.say import command_line
from funnelcast.settings.running import Place, place
from funnelcast.stack.embedded import EmbeddedStack
from funnelcast.stack.run_directory import RunDirectory
from producers.simulator.cdnow import cdnow_events
from schemas.funnel.load import load_funnel
from schemas.times import DAY_MS


async def run_demo(plan: DemoPlan, view: View, *, stop: asyncio.Event) -> None:
    """Run to the end or until `stop`. Raises TryAgainError, NeedsHumanError."""
    with place(plan.state_dir) as running, RunDirectory.new(plan.state_dir, "demo") as directory:
        await _run_in(directory.path, plan, running=running, view=view, stop=stop)


async def _run_in(directory: Path, plan: DemoPlan, *, running: Place, view: View, stop: asyncio.Event) -> None:
    async with EmbeddedStack(
        directory, kafka=plan.kafka, redis=plan.redis, report=view.note, prefers_fixed_ports=True
    ) as stack:
        view.say(f"broker {stack.kafka}, {stack.redis}; logs in {directory}")
        history = await _until(stop, _count_history(stack, directory, view=view))
        if history is None:
            return  # stopped: what was started goes with the stack
        view.history(history)
        async with live_shop(stack, directory, plan=plan, view=view) as shop:
            running.tell(shop.settings())
            view.questions(command_line(), running.path)
            await shop.run(stop, plan.seconds)
            live = await shop.document_when_applied()
        view.final(history, shop.funnel, document=live)


async def _until(stop: asyncio.Event, work: Awaitable[History]) -> History | None:
    """The result, or None when stopped before."""
    task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        stopping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _count_history(stack: EmbeddedStack, directory: Path, *, view: View) -> History:
    view.say("counting the CDNOW purchase history (1997-98) through collector, broker and two workers ...")
    events, last_ms = await asyncio.to_thread(_write_history, directory / "cdnow.jsonl")
    funnel = load_funnel(definition_of("cdnow"))
    job = ReplayJob(
        funnels=(funnel,),
        references=(definition_of("cdnow"),),
        events=events,
        watermark_ms=last_ms + funnel.conversion_window_ms + DAY_MS,
        partitions=PARTITIONS,
        workers=WORKERS,
    )
    began = time.monotonic()
    with view.progress() as progress:
        (document,) = await count_on(
            stack,
            directory / "history",
            job=job,
            refusals=Refusals(events, view.note),
            report=view.note,
            progress=progress,
        )
    return History(funnel=funnel, document=document, seconds=time.monotonic() - began)


def _write_history(path: Path) -> tuple[Path, int]:
    last_ms = 0
    with path.open("wb") as file:
        for event in cdnow_events():
            file.write(orjson.dumps(event) + b"\n")
            last_ms = max(last_ms, event["occurred_at_ms"])
    return path, last_ms
