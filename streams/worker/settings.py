"""What a worker needs to know. Values only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.funnel.model import Funnel
from schemas.kafka import Kafka
from schemas.topics import Topics
from streams.defaults import (
    FETCH_MAX_WAIT_MS,
    FETCH_MIN_BYTES,
    MAX_PERSON_EVENTS,
    MAX_PERSONS,
    START_SECONDS,
    WATERMARK_DELAY_MS,
)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker needs to know."""

    kafka: Kafka
    topics: Topics
    funnels: Sequence[Funnel]
    data_dir: Path
    watermark_delay_ms: int = WATERMARK_DELAY_MS
    health_port: int | None = None
    health_host: str = "127.0.0.1"
    start_seconds: float = START_SECONDS
    session_seconds: float | None = None
    """A worker that dies is replaced after this; None: what suits the broker."""
    max_persons: int = MAX_PERSONS
    max_person_events: int = MAX_PERSON_EVENTS
    fetch_min_bytes: int = FETCH_MIN_BYTES
    fetch_max_wait_ms: int = FETCH_MAX_WAIT_MS
    identity_seconds: float = 5.0
    max_poll_seconds: float = 120.0
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to end the worker."""
