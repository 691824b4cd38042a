"""The job on Quix Streams, as its manual shows stateful processing: KAFKA TOPIC RESULTS DIRECTORY. Runs until ended.

Runs in an environment of its own (requirements.txt), which has nothing of ours: it imports this file's libraries alone.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson
from quixstreams import Application, State

WINDOW_MS = 30 * 60_000
REMEMBERED = 4
STAGES = ("click", "lead", "payment")


def followed(event: dict[str, Any], state: State) -> list[tuple[str, int, int, int]]:
    """Changes of cells (cell, events, entries, advanced); state is the person's."""
    person = state.get("person") or {"began": 0, "stage": -1, "channel": "", "ids": []}
    if event["id"] in person["ids"]:
        return []
    person["ids"] = [*person["ids"][1 - REMEMBERED :], event["id"]]
    stage, channel, at = STAGES.index(event["name"]), event["properties"]["channel"], event["occurred_at_ms"]
    changes = [(f"{event['name']}|{channel}", 1, 0, 0)]
    if person["stage"] < 0 or at > person["began"] + WINDOW_MS:
        person |= {"began": at, "stage": stage, "channel": channel}
        changes.append((f"{event['name']}|{channel}", 0, 1, 0))
    elif stage > person["stage"]:
        changes.append((f"{STAGES[person['stage']]}|{person['channel']}", 0, 0, 1))
        changes.append((f"{event['name']}|{person['channel']}", 0, 1, 0))
        person["stage"] = stage
    state.set("person", person)
    return changes


def added(change: list[Any], state: State) -> list[int]:
    """The counts of a cell after a change; state is the cell's."""
    counts: list[int] = state.get("counts") or [0, 0, 0]
    counts = [before + more for before, more in zip(counts, change[1:], strict=True)]
    state.set("counts", counts)
    return counts


def main() -> None:
    """Entry point."""
    kafka, topic, results, directory = sys.argv[1:]
    app = Application(
        broker_address=kafka,
        consumer_group=f"{results}-quix",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=1.0,
        state_dir=directory,
        loglevel="WARNING",
        auto_create_topics=True,
        consumer_extra_config={"fetch.queue.backoff.ms": 5},
    )
    events = app.topic(topic, key_deserializer="str", value_deserializer="bytes")
    counted = app.topic(results, key_serializer="str", value_serializer="json")
    stream = app.dataframe(events)
    stream = stream.apply(orjson.loads).apply(followed, stateful=True, expand=True)
    stream = stream.group_by(lambda change: change[0], name="cell", value_serializer="json", value_deserializer="json")
    stream.apply(added, stateful=True).to_topic(counted)
    app.run()


if __name__ == "__main__":
    main()
