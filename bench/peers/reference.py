"""The right answer, by brute force over the whole log in memory. Shares no code with a contender; measures nothing."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.peers.job import STAGES, WINDOW_MS, Cells


async def values_of(kafka: str, topic: str, *, partitions: int) -> list[bytes]:
    """All values of a topic, from its beginning to its present end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        values: list[bytes] = []
        while sum(ends.values()) > len(values):
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                values += [record.value for record in batch if record.value is not None]
        return values
    finally:
        await consumer.stop()


def right_cells(values: Iterable[bytes]) -> Cells:
    """What has to be counted of these events, whatever their order: every person's whole history, sorted, again."""
    distinct: dict[str, dict[str, Any]] = {}
    for value in values:
        event = json.loads(value)
        distinct.setdefault(event["id"], event)
    histories: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    counts: Counter[tuple[str, str, int]] = Counter()
    for event in distinct.values():
        channel = event["properties"]["channel"]
        counts[event["name"], channel, 0] += 1
        histories[event["anonymous_id"]].append((event["occurred_at_ms"], STAGES.index(event["name"]), channel))
    for history in histories.values():
        for stage, channel, has_advanced in entries_of(sorted(history)):
            counts[STAGES[stage], channel, 1] += 1
            counts[STAGES[stage], channel, 2] += has_advanced
    cells = {(stage, channel) for stage, channel, _ in counts}
    return {cell: (counts[*cell, 0], counts[*cell, 1], counts[*cell, 2]) for cell in cells}


def entries_of(history: list[tuple[int, int, str]]) -> list[tuple[int, str, bool]]:
    """(stage, channel, whether another was entered after it) of every entry of one person's sorted history."""
    entries = []
    while history:
        began, _, channel = history[0]
        journey = [event for event in history if event[0] <= began + WINDOW_MS]
        history = history[len(journey) :]
        times = {stage: min(at for at, each, _ in journey if each == stage) for _, stage, _ in journey}
        entered = sorted(
            stage for stage, at in times.items() if all(times[later] >= at for later in times if later > stage)
        )
        entries += [(stage, channel, stage != entered[-1]) for stage in entered]
    return entries
