"""A chunk of the log made ready for counting: decoded, retries skipped, each funnel's view taken (funnel_intake.py).

Changes nothing but memos. It works on copies of the partition's clock, which `Prepared` carries to the apply, so a
chunk may be prepared only after the one before it was applied. It knows no persons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import xxhash

from schemas.ids import ranks_below
from schemas.names import normalise_name
from schemas.record import Forward
from schemas.times import MINUTE_MS
from streams.core.chunk import FunnelPrepared, Op, Prepared, Record
from streams.core.decode import ABSENT, NO_RAW, UNREADABLE, Decoder
from streams.core.funnel_intake import FunnelIntake
from streams.core.kept import AT_MASK
from streams.core.outgoing import Outgoing, surplus_event
from streams.core.person import person_field
from streams.core.plan import FORGET
from streams.core.tree import fact_key
from streams.state import PartitionMeta

AHEAD_MS = MINUTE_MS
"""A record moves the watermark at most this far beyond the time the broker knows it by."""
SESSIONS = 24
"""How many sessions of ordered senders are remembered; one that sends several ids has three."""


class Intake:
    """All funnels' view of a partition's records."""

    def __init__(self, decoder: Decoder, funnels: dict[str, FunnelIntake]) -> None:
        self._decoder = decoder
        self._funnels = funnels

    def prepare(  # noqa: C901, PLR0912, PLR0915 - see below
        self, records: Sequence[Record], meta: PartitionMeta
    ) -> Prepared:
        """See `PartitionEngine.prepare`. One loop on purpose: every record passes here."""
        max_received_ms = meta.max_received_ms
        out = Prepared({funnel_id: FunnelPrepared() for funnel_id in self._funnels}, len(records), max_received_ms)
        out.source = records
        out.sessions = dict(meta.sessions)
        out.forgets, out.forwards_applied = meta.forgets, meta.forwards_applied
        out.forwards_from = {funnel_id: dict(numbers) for funnel_id, numbers in meta.forwards_from.items()}
        views = [
            (
                intake,
                intake.matcher.memo,
                intake.is_choosy,
                intake.plan.lateness,
                intake.horizon_distance,
                intake.codes,
                intake.raw_values,
                out.funnels[funnel_id],
            )
            for funnel_id, intake in self._funnels.items()
        ]
        highest = -1 if max_received_ms is None else max_received_ms
        newest = 0
        decode, digest, nothing, missing = self._decoder.typed, xxhash.xxh3_64_intdigest, NO_RAW, cast("Any", object())
        for key, value, timestamp in records:
            try:
                record = decode(value)
            except UNREADABLE:
                record = self._decoder.generic(value)
                if record is None:
                    out.undecodable += 1
                    continue
            if record.seq is not None and _is_retry(record.seq, out.sessions):
                out.retries += 1
                continue
            if record.tick is not None:
                if record.tick > 0:
                    highest = max(highest, min(record.tick, timestamp + AHEAD_MS))
                out.marker = record.marker or out.marker
                continue
            if record.forget is not None:
                self._forget(key, out, highest)
                continue
            if record.forward is not None:
                self._forward(key, value, record.forward, out, highest)
                continue
            received, at, name = record.received_at_ms, record.occurred_at_ms, record.name
            if received == ABSENT or not (name or record.link):  # JSON of somebody else's
                out.undecodable += 1
                continue
            if received > highest:
                highest = max(highest, min(received, timestamp + AHEAD_MS))
            if at > newest:
                newest = at
            if at > received:  # a clock that goes before: nothing occurs after it was received
                at = received
            if key is None:
                self._take_spend(record, value, out)
                continue
            if b"\0" in key:
                key = person_field(key)
            if record.link is not None:
                self._claim(key, record, out, highest)
                continue
            for intake, memo, is_choosy, lateness, distance, codes, raw_values, into in views:
                rules = memo.get(name, missing)
                if rules is missing:
                    rules = intake.matcher.rules(name)
                if rules is None:
                    continue
                stage = rules.stage
                properties = record.properties
                horizon = highest - distance
                if (
                    stage < 0  # no plain stage, or conditions decide
                    or is_choosy  # source or traffic decide
                    or properties.traffic is not None
                    or not 0 <= at <= AT_MASK  # a time that must be corrected
                    or received - at > lateness  # late
                    or at < horizon  # late for the partition
                    or record.placeholder_ids  # something to count beside it
                    or properties.value is not nothing  # an amount
                    or properties.value_minor is not nothing
                    or properties.amount is not nothing
                ):
                    intake.take(record, rules, key, value, into, highest)
                    continue
                try:
                    code = codes.get(raw_values(properties))
                except TypeError:  # a list or object, which no memo takes
                    code = None
                if code is None:  # perhaps a new name
                    intake.take(record, rules, key, value, into, highest)
                    continue
                event_hash = digest(f"{record.source}\0{record.id}".encode())
                into.ops.append((key, at, event_hash, stage, code, horizon, None))
        out.last_event_ms = newest
        out.max_received_ms = None if highest < 0 else highest
        return out

    def _take_spend(self, record: Any, value: bytes, out: Prepared) -> None:
        name = normalise_name(record.name)
        for funnel_id, intake in self._funnels.items():
            if name in intake.plan.definition.ad_spend:
                into = out.funnels[funnel_id]
                intake.take_spend(record, value, into)
                out.facts += [statement.key for statement in into.spend[-1:]]

    def surplus(self, funnel_id: str, refused: Sequence[Op], records: Sequence[Record]) -> list[Outgoing]:
        """The records of refused events, each once. There are few chunks that hold any, so they are decoded again."""
        waiting = {op[2]: op[1] for op in refused}
        out: list[Outgoing] = []
        for key, value, _ in records:
            record = None if key is None else self._decoder.generic(value)
            if key is None or record is None:
                continue
            event_hash = xxhash.xxh3_64_intdigest(f"{record.source}\0{record.id}".encode())
            at = waiting.pop(event_hash, None)
            if at is not None:
                age_ms = max(0, record.received_at_ms - at)
                out.append(surplus_event(funnel_id, key=key, value=value, age_ms=age_ms))
        return out

    def _forget(self, key: bytes | None, out: Prepared, highest: int) -> None:
        if key is None:
            return
        key = person_field(key)
        out.forgets += 1
        for funnel_id, intake in self._funnels.items():
            into = out.funnels[funnel_id]
            into.ops.append((key, 0, out.forgets, FORGET, 0, highest - intake.horizon_distance, None))
            out.facts.append(fact_key(funnel_id, key))

    def _claim(self, key: bytes, record: Any, out: Prepared, highest: int) -> None:
        if not ranks_below(key, record.link.encode()):
            return
        higher = person_field(record.link.encode())
        for funnel_id, intake in self._funnels.items():
            intake.claim(record, key, out.funnels[funnel_id], highest)
            if higher in out.funnels[funnel_id].highers[-1:]:
                out.facts.append(fact_key(funnel_id, higher))

    def _forward(self, key: bytes | None, value: bytes, forward: Forward, out: Prepared, highest: int) -> None:
        """Of a funnel that is not counted here nothing happens; nor for what was applied before."""
        intake = self._funnels.get(forward.funnel)
        if key is None or intake is None:
            return
        key = person_field(key)
        if forward.number and not _is_next(forward, out):
            return
        into = out.funnels[forward.funnel]
        if not intake.admit(forward, key, value, into, highest):
            out.undecodable += 1
            return
        if forward.is_linked is not None:
            out.facts.append(fact_key(forward.funnel, key))


def _is_next(forward: Forward, out: Prepared) -> bool:
    """Whether a forward was not applied before; remembers it then."""
    numbers = out.forwards_from.setdefault(forward.funnel, {})
    if forward.number <= numbers.get(forward.partition, 0):
        return False
    numbers[forward.partition] = forward.number
    out.forwards_applied += 1
    return True


def _is_retry(seq: tuple[str, int], sessions: dict[str, int]) -> bool:
    """Whether an ordered sender's record was applied before; remembers it otherwise (the sessions used last only)."""
    session, number = seq
    last = sessions.pop(session, None)
    if last is None and len(sessions) >= SESSIONS:
        del sessions[next(iter(sessions))]
    sessions[session] = number if last is None else max(last, number)
    return last is not None and number <= last
