"""What the evidence of change costs, as exporter and page make it once a minute: `python -m bench.evidence [values]`.

A real Valkey with three months of a funnel of four stages whose events come in so many channels; then minutes go by,
and the evidence is made again and again by one process. CPU of that process alone, counting left out; asserts nothing.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain

from bench.children import valkey
from bench.counting import POLL, parted
from schemas.funnel.load import parse_funnel
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from streams.exporter.evidence_source import EvidenceSource
from streams.store.address import Client
from streams.store.reader import RedisCounterReader
from streams.store.redis import RedisPartitionStore
from streams.worker.partition import LogRecord, PartitionProcessor

SPACE, DAYS, LOOKS = "bench", 88, 8
START_MS = 1_750_032_000_000
NOW_MS = START_MS + DAYS * DAY_MS
STAGES = ("visit", "lead", "offer", "payment")
_FUNNEL = """
name: bench
conversion_window: 7d
stages:
  - {name: visit, on: [visit], abandon_after: 1h}
  - {name: lead, on: [lead], abandon_after: 1d, stalled_after: 1h}
  - {name: offer, on: [offer], abandon_after: 1d}
  - {name: payment, on: [payment], order: true}
dimensions:
  - {name: channel, attribution: first, cap: 200}
"""
_Sent = tuple[bytes, bytes, int]


def history(values: int) -> Iterator[_Sent]:
    """One person of every channel in every hour; a quarter of them gets to the end."""
    for person in range(DAYS * 24 * values):
        hour, channel = divmod(person, values)
        at_ms = START_MS + hour * HOUR_MS + channel * 3 * MINUTE_MS // 4
        for number, stage in enumerate(STAGES[: 1 + (person * 2_654_435_761 >> 16) % len(STAGES)]):
            yield _event(f"p{person}", stage, at_ms + number * MINUTE_MS, channel)


def newest(look: int, values: int) -> Iterator[_Sent]:
    """A visitor of every channel in the minute before a look."""
    return (_event(f"n{look}-{channel}", "visit", NOW_MS + look * MINUTE_MS - 1, channel) for channel in range(values))


def _event(person: str, stage: str, at_ms: int, channel: int) -> _Sent:
    body = (
        f'{{"id":"{stage}{person}","name":"{stage}","occurred_at_ms":{at_ms},"received_at_ms":{at_ms},"source":"web",'
        f'"user_id":"{person}","properties":{{"channel":"channel{channel}","value":"10.00","currency":"USD"}}}}'
    )
    return f"u:{person}".encode(), body.encode(), at_ms


async def looks(client: Client, values: int) -> list[float]:
    """CPU in ms of each; the first reads all and learns what is normal."""
    funnel, now = parse_funnel(_FUNNEL), [NOW_MS]
    store = RedisPartitionStore(client, SPACE)
    await store.check_funnels({funnel.funnel_id: funnel.fingerprint})
    logs = parted(chain(history(values), *(newest(look, values) for look in range(1, LOOKS))))
    lanes = [PartitionProcessor(store, number, [funnel], clock_ms=lambda: now[0]) for number in range(len(logs))]
    for lane in lanes:
        await lane.claim()
    source = EvidenceSource(RedisCounterReader(client, SPACE), [funnel], clock_ms=lambda: now[0])
    spent = []
    for look in range(LOOKS):
        now[0] = NOW_MS + look * MINUTE_MS
        for lane, log in zip(lanes, logs, strict=True):
            await _count_until(lane, log, now[0])
        before = time.process_time()
        await source.refresh()
        spent.append(1000 * (time.process_time() - before))
    if len(source.newest[0].standings) < 2 * len(STAGES):
        raise RuntimeError("nothing was judged")
    return spent


async def _count_until(lane: PartitionProcessor, log: Sequence[LogRecord], until_ms: int) -> None:
    """What was received by then."""
    end = bisect_right(log, until_ms, key=lambda record: record.timestamp)
    for first in range(lane.offset, end, POLL):
        records = log[first : min(end, first + POLL)]
        await lane.process(records, first + len(records))


async def main(values: int) -> None:
    """Print the first look, and what the others take of a core."""
    async with valkey("127.0.0.1:9") as (_, client):  # beside a broker that nobody asks: counting here needs none
        first, *others = await looks(client, values)
    median = statistics.median(others)
    print(
        f"{values} values: first look {first:,.0f} ms of CPU; then {median:,.0f} ms (best {min(others):,.0f}) a minute"
    )
    print(f"that is {median / 600:.2f} % of a core")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
