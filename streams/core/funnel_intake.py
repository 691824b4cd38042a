"""What one funnel takes of a record: the stage it matches, the codes of its values, the event that is kept; or why
it is not counted (left out, late). Changes nothing but memos; it knows no persons and no other funnel.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from struct import error as StructError  # noqa: N812 - it is a class
from typing import Any

import xxhash

from schemas.counters import REASONS, currency_code
from schemas.money import clean_currency
from schemas.names import written_value
from schemas.record import Forward
from schemas.spend import DAY_PROPERTY
from schemas.times import DAY_MS, HOUR_MS
from schemas.traffic import HUMAN, traffic_of
from streams.core.calendar import Calendar
from streams.core.chunk import FunnelPrepared
from streams.core.decode import NO_RAW, Decoder
from streams.core.kept import AT_MASK, KeptEvent, is_sound, unpack_events, whole_of
from streams.core.match import NO_AMOUNT, Match, Matcher, NameRules, amount_of, id_text, money_of, plain, unit_of
from streams.core.outgoing import late_event
from streams.core.person import person_field
from streams.core.place import Place
from streams.core.plan import FORWARDED, KIN, LINK, LOST, ORDER, REFUND, RESTATED, VOID, WITHDRAWN, Plan
from streams.core.registers import FunnelRegisters
from streams.core.scoring import with_points
from streams.core.spend import Statement, day_of, key_of, properties_of

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
        if self.plan.publishes_journeys and not all(self.registers.knows(event.code, event.reason) for event in events):
            out.lacks_names = True
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
        value = plain(raw)
        code = self.registers.all[register].code(value)
        if isinstance(code, int):
            return code
        out.names.setdefault((register, code), written_value(value))
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


def _no_values(_properties: Any) -> tuple[()]:
    return ()
