"""How a dead letter becomes a request again: with an id, so that it is counted once, however often it is sent. Pure.

A payload is complete as it stands; what lacks an id of its own gets one from the dead letter's place in the topic.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import orjson

from producers.ingest.repair import repair
from schemas.ids import clean_event_id


@dataclass(frozen=True, slots=True)
class DeadLetterPayload:
    """What a dead letter keeps of an element of a request, and where the dead letter stands."""

    payload: bytes
    received_at_ms: int
    partition: int
    offset: int

    @property
    def new_id(self) -> str:
        """The same whenever it is sent."""
        return f"letter-{self.partition}-{self.offset}"


def with_id(dead_letter: DeadLetterPayload, member: str) -> bytes:
    """The payload, with an id where one is due and none is there, or one that stands for nothing (of two members of one
    name the last counts); everything else as it was sent."""
    payload = dead_letter.payload
    event = parsed(payload)
    if not isinstance(event, dict) or "batch" in event or "events" in event or "data" in event:
        return payload  # a whole request that could not be taken: its events are told apart by the collector
    stated = event.get(member)
    if stated is not None and not (isinstance(stated, str) and clean_event_id(stated) is None):
        return payload
    separator = b"," if event else b""
    return payload.rstrip()[:-1] + separator + orjson.dumps(member) + b":" + orjson.dumps(dead_letter.new_id) + b"}"


def with_id_in_query(dead_letter: DeadLetterPayload, names: tuple[str, ...], *, name: str) -> bytes:
    """The same for a query or form; an id may stand there under one of the `names`."""
    payload = dead_letter.payload
    if any(f"&{other}=".encode() in b"&" + payload for other in names):
        return payload
    return payload + f"&{name}={dead_letter.new_id}".encode()


def parsed(payload: bytes) -> Any:
    """The JSON value of a payload, repaired as the collector would where it has to be; None where it is no JSON."""
    for text in (payload, repair(payload, has_lines=False).text):
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(text)
    return None
