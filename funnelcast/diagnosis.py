"""What is wrong with an installation, one finding at a time: asks every part, changes none."""

from __future__ import annotations

import asyncio
import platform
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

from funnelcast import __version__
from funnelcast.clock import wall_clock_ms
from producers.access.keys import read_keys
from schemas.errors import FunnelcastError
from schemas.funnel.lint import problems
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.kafka import Kafka
from schemas.topics import Topics
from streams.admin import check_topics
from streams.store.connection import close, connect, server_time_ms, server_warnings
from streams.store.port import PartitionStatus
from streams.store.reader import RedisCounterReader
from streams.store.statuses import statuses_of

Level: TypeAlias = Literal["ok", "warning", "problem"]
_CLOCK_MS = 2_000
_STALE_MS = 5 * 60_000
_STORE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer."""

    part: str
    level: Level
    text: str
    """What is so, and where it is not well, what to do."""


class Diagnosis(TypedDict):
    """All of them."""

    ok: bool
    """No problem; there may be warnings."""
    findings: list[Finding]


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What is asked."""

    kafka: Callable[[], Kafka]
    """Raises SettingsError where none is set."""
    redis: Callable[[], str]
    topics: Topics
    funnels: Sequence[str]
    keys: Path | None


async def findings(installation: Installation) -> AsyncIterator[Finding]:
    """Of every part, as they come. What one part cannot answer stops no other."""
    yield Finding("funnelcast", "ok", f"version {__version__}, Python {platform.python_version()}")
    funnels: list[Funnel] = []
    for reference in installation.funnels:
        yield _funnel(reference, funnels)
    yield _keys(installation.keys)
    for asked in (_kafka(installation), _store(installation, funnels)):
        async for finding in asked:
            yield finding


def _funnel(reference: str, into: list[Funnel]) -> Finding:
    try:
        funnel = load_funnel(reference)
    except FunnelcastError as error:
        return Finding("funnels", "problem", str(error))
    into.append(funnel)
    if faults := problems(funnel):
        return Finding("funnels", "warning", "; ".join(faults))
    return Finding("funnels", "ok", f"{reference}: {funnel.name} version {funnel.version}, {len(funnel.stages)} stages")


def _keys(path: Path | None) -> Finding:
    if path is None:
        return Finding("keys", "warning", "no file of keys: set FUNNELCAST_KEYS and run `funnelcast keys create`")
    try:
        keys = [key for key in read_keys(path) if key.revoked_at is None]
        mode = stat.S_IMODE(path.stat().st_mode)
    except FunnelcastError as error:
        return Finding("keys", "problem", f"{path}: {error}")
    except OSError as error:
        return Finding("keys", "problem", f"{path}: {error.strerror}; `funnelcast keys create` makes it")
    if not keys:
        return Finding("keys", "problem", f"{path} holds no key that is valid: run `funnelcast keys create`")
    if mode & 0o077:
        return Finding("keys", "warning", f"others can read {path} (mode {mode:04o}): chmod 600 {path}")
    return Finding("keys", "ok", f"{path}: {len(keys)} valid keys")


async def _kafka(installation: Installation) -> AsyncIterator[Finding]:
    try:
        servers = installation.kafka()
        states = await check_topics(servers, installation.topics)
    except FunnelcastError as error:
        yield Finding("kafka", "problem", str(error))
        return
    yield Finding("kafka", "ok", f"{servers} answers")
    for state in states:
        if state.problems:
            yield Finding("topics", "problem", "; ".join(state.problems))
        else:
            yield Finding("topics", "ok", f"{state.name}: {state.partitions} partitions")


async def _store(installation: Installation, funnels: Sequence[Funnel]) -> AsyncIterator[Finding]:
    try:
        client = connect(installation.redis())
    except FunnelcastError as error:
        yield Finding("redis", "problem", str(error))
        return
    try:
        async with asyncio.timeout(_STORE_SECONDS):
            theirs = await server_time_ms(client)
            yield _clock(theirs - wall_clock_ms())
            for warning in await server_warnings(client):
                yield Finding("redis", "warning", warning)
            async for finding in _space(RedisCounterReader(client, installation.topics.space), funnels):
                yield finding
    except FunnelcastError as error:
        yield Finding("redis", "problem", str(error))
    except TimeoutError:
        yield Finding("redis", "problem", f"no answer within {_STORE_SECONDS:g} s: is the address right?")
    finally:
        await close(client)


def _clock(ahead_ms: int) -> Finding:
    if abs(ahead_ms) > _CLOCK_MS:
        seconds = abs(ahead_ms) / 1000
        where = "ahead of" if ahead_ms > 0 else "behind"
        return Finding("clocks", "problem", f"the store's clock is {seconds:.0f} s {where} this one: run NTP on both")
    return Finding("redis", "ok", "answers; its clock agrees with this one")


async def _space(reader: RedisCounterReader, funnels: Sequence[Funnel]) -> AsyncIterator[Finding]:
    statuses = list((await statuses_of(reader)).values())
    if not statuses:
        yield Finding("counting", "warning", "nothing is counted in this space yet: does a worker run?")
        return
    counted = await reader.fingerprints()
    for funnel in funnels:
        yield _definition(funnel, counted.get(funnel.funnel_id))
    yield _freshness(statuses, wall_clock_ms())


def _definition(funnel: Funnel, counted: str | None) -> Finding:
    if counted is None:
        return Finding("counting", "warning", f"{funnel.funnel_id} is not counted here: start a worker with it")
    if counted != funnel.fingerprint:
        return Finding("counting", "problem", f"{funnel.funnel_id} is counted by another definition: raise its version")
    return Finding("counting", "ok", f"{funnel.funnel_id} is counted by this definition")


def _freshness(statuses: Sequence[PartitionStatus], now_ms: int) -> Finding:
    """The oldest write of a partition; ticks are written too, so every partition is written all the time."""
    if any(not status.meta.records for status in statuses):
        text = "a partition has counted no record yet: does a worker run for it, and a ticker?"
        return Finding("counting", "warning", text)
    age_ms = now_ms - min(status.meta.applied_at_ms for status in statuses)
    records = sum(status.meta.records for status in statuses)
    if age_ms > _STALE_MS:
        return Finding(
            "counting",
            "problem",
            f"a partition was last written {age_ms // 60_000} minutes ago: does a worker run for it, and a ticker?",
        )
    return Finding("counting", "ok", f"{len(statuses)} partitions, {records:,} records, all written just now")
