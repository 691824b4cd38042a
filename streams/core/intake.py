"""A chunk of the log made ready for counting: decoded, retries skipped, late events set apart, codes resolved.

Changes nothing but memos. It works on copies of the partition's clock, which `Prepared` carries to the apply, so a
chunk may be prepared only after the one before it was applied. It knows no persons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from struct import error as StructError  # noqa: N812 - it is a class
from typing import Any, cast

import xxhash

from schemas.counters import currency_code
from schemas.ids import ranks_below
from schemas.money import clean_currency
from schemas.names import normalise_name
from schemas.record import Forward
from schemas.spend import DAY_PROPERTY
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from schemas.traffic import HUMAN, traffic_of
from streams.core.calendar import Calendar
from streams.core.chunk import FunnelPrepared, Op, Prepared, Record
from streams.core.decode import ABSENT, NO_RAW, UNREADABLE, Decoder
from streams.core.kept import AT_MASK, KeptEvent, is_sound, unpack_events, whole_of
from streams.core.match import NO_AMOUNT, Match, Matcher, NameRules, amount_of, id_text, money_of, plain, unit_of
from streams.core.outgoing import Outgoing, late_event, surplus_event
from streams.core.person import person_field
from streams.core.place import Place
from streams.core.plan import FORGET, FORWARDED, KIN, LINK, LOST, ORDER, REFUND, RESTATED, VOID, WITHDRAWN, Plan
from streams.core.registers import REASONS, FunnelRegisters
from streams.core.scoring import with_points
from streams.core.spend import Statement, day_of, key_of, properties_of
from streams.core.tree import fact_key
from streams.state import PartitionMeta

AHEAD_MS = MINUTE_MS
"""A record moves the watermark at most this far beyond the time the broker knows it by."""
SESSIONS = 24
"""How many sessions of ordered senders are remembered; one that sends several ids has three."""
_CODES_LIMIT = 50_000
LATE_EDGES_MS = tuple(
    (f"late_le_{name}", ms)
    for name, ms in (
        ("1h", HOUR_MS),
        ("1d", DAY_MS),
        ("3d", 3 * DAY_MS),
        ("7d", 7 * DAY_MS),
        ("30d", 30 * DAY_MS),
    )
)


class FunnelIntake:
    """One funnel's view of records."""

    def __init__(
        self, plan: Plan, decoder: Decoder, registers: FunnelRegisters, *, delay_ms: int, place: Place
    ) -> None:
        self.plan = plan
        self.registers = registers
        self.place = place
        self.matcher = Matcher(plan, decoder)
        self._sources = plan.definition.sources
        self._traffic = plan.definition.traffic
        self.is_choosy = self._sources is not None or HUMAN not in self._traffic
        """Whether it leaves out events that say nothing of their traffic."""
        self.horizon_distance = delay_ms + plan.keep
        """Highest received time minus this is the horizon."""
        self._is_unresolved = False
        self._calendar = Calendar(plan.definition.timezone)
        unit = plan.definition.unit
        self._unit_attribute = None if unit is None else decoder.attribute[unit]
        names = [decoder.attribute[dimension.property_name] for dimension in plan.dimensions]
        self.raw_values: Callable[[Any], Any] = attrgetter(*names) if names else _no_values
        """Raw values of the dimensions: one, or a tuple of several."""
        self.codes: dict[Any, int] = {}
        """Raw values -> code, for texts whose codes are settled."""
        self._places = list(enumerate(plan.shifts, start=1))

    def take(self, record: Any, rules: NameRules, key: bytes, value: bytes, out: FunnelPrepared, highest: int) -> None:
        """Put an event of a known name into `out`, if it counts; `highest` is the highest received time so far."""
        if self._sources is not None and record.source not in self._sources:
            return
        match = rules.fixed if rules.is_fixed else rules.classify(record.properties)
        if match is None:
            return
        if (traffic := traffic_of(record.properties.traffic)) not in self._traffic:
            out.stats[f"left_out_{traffic}"] += 1
            return
        if record.placeholder_ids:
            out.stats["placeholder_ids"] += record.placeholder_ids
        received = record.received_at_ms
        at = min(max(record.occurred_at_ms, 0), received, AT_MASK)
        horizon = highest - self.horizon_distance
        if received - at > self.plan.lateness or at < horizon:
            self._set_apart(key, value, max(received, highest) - at, out)
            return
        event_hash = xxhash.xxh3_64_intdigest(f"{record.source}\0{record.id}".encode())
        self._is_unresolved = False
        code, whole = self._event(record.properties, match, at, event_hash, out)
        if self._is_unresolved:
            out.unresolved.append((len(out.ops), record.properties, match))
        out.ops.append((key, at, event_hash, match.kind, code, horizon, whole))

    def claim(self, record: Any, key: bytes, out: FunnelPrepared, highest: int) -> None:
        """Put the claim of an id into `out`; a late one claims nothing."""
        received = record.received_at_ms
        at = min(max(record.occurred_at_ms, 0), received)
        horizon = highest - self.horizon_distance
        if not 0 <= received <= AT_MASK or received - at > self.plan.lateness or at < horizon:
            return
        out.ops.append((key, received, len(out.ids), LINK, 0, horizon, None))
        out.ids.append(record.link.encode())
        if self.place.holds(out.ids[-1]):
            out.highers.append(person_field(out.ids[-1]))

    def admit(self, forward: Forward, key: bytes, value: bytes, out: FunnelPrepared, highest: int) -> bool:
        """Put the events of a forward into `out`; False where they cannot be read."""
        try:
            events = unpack_events(self.plan, forward.events)
        except (StructError, IndexError):
            return False
        if not all(is_sound(self.plan, event) for event in events):
            return False
        horizon = highest - self.horizon_distance
        for event in events:
            if event.at < horizon:
                out.stats["accepted"] -= 1
                self._set_apart(key, value, highest - event.at, out)
                continue
            kind, whole = event.kind + FORWARDED, whole_of(event)
            out.ops.append((key, event.at, event.event_hash, kind, event.code, horizon, whole))
        if forward.is_linked is not None:
            out.ops.append((key, int(forward.is_linked), len(out.ids), KIN, 0, horizon, None))
            out.ids.append(forward.origin)
        return True

    def take_spend(self, record: Any, value: bytes, out: FunnelPrepared) -> None:
        """Put a statement of spend into `out`; it is never late."""
        if self._sources is not None and record.source not in self._sources:
            return
        stated = properties_of(value)
        minor, currency = self._amount(record.properties, out)
        at = min(max(record.occurred_at_ms, 0), record.received_at_ms)
        day = day_of(stated.get(DAY_PROPERTY), at, self._calendar)
        if minor < 0 or day is None:
            out.stats["spend_refused"] += 1
            return
        self._code(record.properties, out)  # asks for codes of new names
        raw = self.raw_values(record.properties)
        own = [plain(value) for value in (raw if isinstance(raw, tuple) else (raw,))]
        key = key_of(self.plan.funnel_id, record.source, day, currency, stated, own)
        out.spend.append(Statement(key, record.received_at_ms, record.id, minor, currency, day, record.properties))

    def code_of(self, properties: Any) -> int:
        """Code of an event whose names are all registered."""
        return self._code(properties, FunnelPrepared())

    def resolve(self, out: FunnelPrepared) -> None:
        """Fill in the codes of names that the store has registered meanwhile."""
        for index, properties, match in out.unresolved:
            key, at, event_hash, kind, _, horizon, _ = out.ops[index]
            code, whole = self._event(properties, match, at, event_hash, FunnelPrepared())
            out.ops[index] = (key, at, event_hash, kind, code, horizon, whole)
        out.unresolved.clear()
        out.names.clear()

    def _event(
        self, properties: Any, match: Match, at: int, event_hash: int, out: FunnelPrepared
    ) -> tuple[int, KeptEvent | None]:
        """Code, and the whole event where it says more than its stage."""
        kind = match.kind
        code = 0 if kind in (WITHDRAWN, RESTATED) else self._code(properties, out)
        if self.plan.score_mask:
            code = with_points(self.plan, code, match.points)
        if kind == VOID:
            return code, None
        unit = b"" if self._unit_attribute is None else unit_of(getattr(properties, self._unit_attribute))
        if kind == LOST:
            raw = match.reason if match.reason is not None else properties.reason
            return code, KeptEvent(at, event_hash, kind, code, self._value_code(REASONS, raw, out), unit=unit)
        minor, currency = self._amount(properties, out)
        if kind < ORDER:
            if minor < 0 and not unit:
                return code, None
            return code, KeptEvent(at, event_hash, kind, code, minor=minor, currency=currency, unit=unit)
        order = _id_hash(properties.order_id)
        refund = _id_hash(properties.refund_id) if kind == REFUND else 0
        unit = unit if kind == ORDER else b""
        event = KeptEvent(at, event_hash, kind, code, 0, match.mask, order, refund, minor, currency, unit=unit)
        return code, event if kind == REFUND else self._with_costs(properties, event)

    def _with_costs(self, properties: Any, order: KeptEvent) -> KeptEvent:
        """With cost and discount, in the event's currency."""
        if properties.cost is NO_RAW and properties.discount is NO_RAW:
            return order
        code = self.plan.definition.currency if properties.currency is None else clean_currency(properties.currency)
        if code is None:
            return order
        cost, discount = money_of(properties.cost, code), money_of(properties.discount, code)
        if cost < 0 and discount < 0:
            return order
        return order._replace(currency=currency_code(code), cost=cost, discount=discount)

    def _amount(self, properties: Any, out: FunnelPrepared) -> tuple[int, int]:
        default = self.plan.definition.currency
        money = amount_of(properties.value, properties.value_minor, properties.amount, properties.currency, default)
        if money is None:
            out.stats["amounts_refused"] += 1
            return -1, 0
        return (-1, 0) if money is NO_AMOUNT else (money[0], currency_code(money[1]))

    def _code(self, properties: Any, out: FunnelPrepared) -> int:
        raw = self.raw_values(properties)
        raws = raw if isinstance(raw, tuple) else (raw,)
        is_text = all(value is None or isinstance(value, str) for value in raws)
        if is_text and raw in self.codes:
            return self.codes[raw]
        code, before = 0, self._is_unresolved
        self._is_unresolved = False
        for (register, shift), value in zip(self._places, raws, strict=False):
            if value is not None:
                code |= self._value_code(register, value, out) << shift
        code &= ~self.plan.touch_mask
        if is_text and not self._is_unresolved:
            if len(self.codes) >= _CODES_LIMIT:
                self.codes.clear()
            self.codes[raw] = code
        self._is_unresolved = self._is_unresolved or before
        return code

    def _value_code(self, register: int, raw: Any, out: FunnelPrepared) -> int:
        code = self.registers.all[register].code(plain(raw))
        if isinstance(code, int):
            return code
        out.names[register, code] = None
        self._is_unresolved = True
        return 0

    def _set_apart(self, key: bytes, value: bytes, age_ms: int, out: FunnelPrepared) -> None:
        out.stats["late"] += 1
        out.stats[next((name for name, edge in LATE_EDGES_MS if age_ms <= edge), "late_le_inf")] += 1
        out.outgoing.append(late_event(self.plan.funnel_id, key=key, value=value, age_ms=age_ms))


def _id_hash(value: object) -> int:
    """64-bit hash of an order or refund id within its person; 0 for none."""
    text = id_text(value)
    return 0 if text is None else xxhash.xxh3_64_intdigest(text.encode()) or 1


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


def _no_values(_properties: Any) -> tuple[()]:
    return ()


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
