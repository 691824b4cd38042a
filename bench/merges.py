"""What dimensions and merges cost: the worker on the benchmark's log, and with four dimensions, a declared pair and 5 %
of the events linking two ids; bytes of Redis per person said; how long a merge takes to be seen.

Both logs are counted in the same repetition, one after the other, by a real worker from a real Kafka into Valkey.
Links whose ids lie in different partitions (seven of eight) are forwarded through Kafka, and counted to the end.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.children import scratch
from bench.latency import Traffic, drive, waits_of
from bench.log import fill
from bench.table import Figures
from bench.throughput import run_worker
from bench.workload import with_four_dimensions

PEOPLE = 200_000
RATE = 5_000
SHARE = 0.05
_EVERY = int(1 / SHARE)
_APART = 8 * RATE
"""Events between the visit of a device and the one that links it."""


async def measure(kafka: str, number: int, *, events: int, seconds: float, figures: Figures) -> None:
    """Repetition `number`."""
    async with scratch() as directory:
        funnel = directory / "merged.json"
        funnel.write_text(json.dumps(with_four_dimensions("sales")))
        await _throughput(kafka, number, events=events, funnel=funnel, figures=figures)
        shop, pages, _ = await drive(kafka, f"mergetime{number}", seconds=seconds, traffic=LINKING, funnel=str(funnel))
    waits = waits_of(shop, pages, warm_up_seconds=LINKING.warm_up_seconds)
    figures.add("time to merge at 5,000 events/s, p50", waits[len(waits) // 2], unit="s")
    figures.add("time to merge at 5,000 events/s, p99", waits[len(waits) * 99 // 100], unit="s", target=5)


async def _throughput(kafka: str, number: int, *, events: int, funnel: Path, figures: Figures) -> None:
    plain = await run_worker(kafka, await fill(kafka, f"plain{number}", events=events, people=PEOPLE))
    log = await fill(kafka, f"merged{number}", events=events, people=PEOPLE, merges=SHARE)
    merged = await run_worker(kafka, log, str(funnel))
    for name, run in (("two dimensions, no merges", plain), ("four dimensions, 5 % merges", merged)):
        figures.add(f"{name}: events/s", run.events / run.seconds, unit="events/s", is_lower_better=False)
        figures.add(f"{name}: CPU of the worker", run.worker_us, unit="us/event")
        figures.add(f"{name}: CPU of the store", run.store_us, unit="us/event")
        figures.add(f"{name}: Redis per person", run.person_bytes, unit="bytes")
    share = plain.worker_us / merged.worker_us
    figures.add("worker: events by CPU, with over without", share, unit="x", target=0.8, is_lower_better=False)
    speed = merged.events / merged.seconds * plain.seconds / plain.events
    figures.add("worker: events/s, with over without", speed, unit="x", target=0.8, is_lower_better=False)


def _event(number: int, now_ms: int) -> dict[str, object]:
    """Every 20th is the visit of a new device, another 20th a click that links the device of 8 s ago to an account."""
    event: dict[str, object] = {
        "id": f"event-{number:010d}",
        "name": "impression",
        "occurred_at_ms": now_ms,
        "anonymous_id": f"visitor-{number * 7919 % 50_000:08d}",
        "properties": {
            "channel": f"channel{number % 20}",
            "manager": f"manager{number % 10}",
            "campaign": "spring",
            "product": f"product{number % 5}",
        },
    }
    device = number - _APART
    if number % _EVERY == 0 and device >= 0:
        event |= {"name": "click", "anonymous_id": f"device-{device + 1}", "user_id": f"user-{device + 1}"}
    elif number % _EVERY == 1:
        event["anonymous_id"] = f"device-{number}"
    return event


LINKING = Traffic(
    RATE,
    funnel="merged",
    event=_event,
    sample=r'funnel_stage_transitions\{[^}]*stage="impression",to="click"[^}]*\}',
    counted=lambda number: max(0, -(-(number - _APART) // _EVERY)),
    warm_up_seconds=_APART / RATE + 5,
)
"""A click is a transition from the visit only once the two ids are one person."""
