"""The job on stock Faust, as its manual shows tables: KAFKA TOPIC RESULTS DIRECTORY. Runs until it is ended.

Runs in an environment of its own (requirements.txt), which has nothing of ours: it imports this file's libraries alone.
"""

from __future__ import annotations

import sys
from typing import Any

import faust
import orjson

PARTITIONS = 8
WINDOW_MS = 30 * 60_000
REMEMBERED = 4
STAGES = ("click", "lead", "payment")


def job(kafka: str, topic: str, results: str, directory: str) -> faust.App:
    """The application: an agent over the events, a table of persons, a table of cells, a timer that tells cells."""
    app = faust.App(
        f"{results}-faust",
        broker=f"kafka://{kafka}",
        store="memory://",
        datadir=directory,
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        producer_linger=0.02,
    )
    source = app.topic(topic, key_serializer="raw", value_serializer="raw")
    counted = app.topic(results, key_serializer="raw", value_serializer="raw")
    people = app.Table("people", partitions=PARTITIONS)
    cells = app.Table("cells", partitions=PARTITIONS)
    changed: set[str] = set()

    def add(partition: int, stage: int, *, channel: str, events: int = 0, entries: int = 0, advanced: int = 0) -> None:
        cell = f"{partition}|{STAGES[stage]}|{channel}"
        before = cells.get(cell) or [0, 0, 0]
        cells[cell] = [before[0] + events, before[1] + entries, before[2] + advanced]
        changed.add(cell)

    def count(event: dict[str, Any], partition: int) -> None:
        key = event["anonymous_id"]
        person = dict(people.get(key) or {"began": 0, "stage": -1, "channel": "", "ids": []})
        if event["id"] in person["ids"]:
            return
        person["ids"] = [*person["ids"][1 - REMEMBERED :], event["id"]]
        stage, channel, at = STAGES.index(event["name"]), event["properties"]["channel"], event["occurred_at_ms"]
        add(partition, stage, channel=channel, events=1)
        if person["stage"] < 0 or at > person["began"] + WINDOW_MS:
            person |= {"began": at, "stage": stage, "channel": channel}
            add(partition, stage, channel=channel, entries=1)
        elif stage > person["stage"]:
            add(partition, person["stage"], channel=person["channel"], advanced=1)
            add(partition, stage, channel=person["channel"], entries=1)
            person["stage"] = stage
        people[key] = person

    @app.agent(source, name="count")
    async def follow(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            count(orjson.loads(event.value), event.message.partition)

    async def tell() -> None:
        told = list(changed)
        changed.clear()
        for cell in told:
            await counted.send(key=cell.encode(), value=orjson.dumps(cells[cell]))

    app.timer(1.0)(tell)
    return app


if __name__ == "__main__":
    faust.Worker(job(*sys.argv[1:]), loglevel="warning", quiet=True).execute_from_commandline()
