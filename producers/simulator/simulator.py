"""A simulated shop: web and CRM events for the `sales` funnel, the same for the same seed. Pure: no clock, no I/O.

People see advertisements, click, leave their details, get an offer from a manager, pay, come back. `messy` makes what
real feeds make of that: copies, disorder, latecomers, ids that are none, people who are known by several ids, several
deals of one person at once, orders that are refunded, withdrawn and restated. Events come in the order of their
reception.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from typing import Any, Final

Event = dict[str, Any]
START_MS: Final = 1_735_689_600_000
"""2025-01-01T00:00:00Z."""
SPAN_MS: Final = 60 * 86_400_000
"""About the time that the events asked for are spread over, however many they are."""
_EVENTS_A_VISITOR: Final = 2.2
_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000

_CHANNELS: Final = (
    ("google", 40, 1.2),
    ("meta", 28, 0.8),
    ("newsletter", 10, 1.9),
    ("tiktok", 14, 0.5),
    ("direct", 8, 1.5),
)
"""Name, share of the visitors, how willing its visitors are."""
_CAMPAIGNS: Final = ("spring", "brand", "retargeting", "launch")
_MANAGERS: Final = ("ann", "bob", "carla", "dmitri")
_PRODUCTS: Final = (("starter", 19.9), ("team", 149.0), ("business", 990.0))
_REASONS: Final = (("price", 40), ("no_answer", 25), ("competitor", 18), ("timing", 12), ("no_budget", 5))
_CURRENCIES: Final = (("USD", 80), ("EUR", 20))
_CLICK, _LEAD, _OFFER, _PAYMENT, _REPEAT = 0.18, 0.3, 0.6, 0.45, 0.35
_PLACEHOLDERS: Final = ("null", "undefined", "0", "[object Object]", "anonymous")

_DEALS: Final = (((), 50), (("1",), 38), (("1", "2"), 12))
"""Deals that a messy lead becomes, and how often; none: its events name no deal."""
_REFUND, _WITHDRAWAL, _RESTATEMENT = 0.06, 0.04, 0.03
_COPIES, _DISORDER, _LATE, _PLACEHOLDER = 0.1, 0.1, 0.002, 0.01


def simulate(*, seed: int, events: int, messy: bool = False, start_ms: int = START_MS) -> Iterator[Event]:
    """Exactly `events` native events. In messy ones `received_at_ms` says when each arrived; the others arrive when
    they happen."""
    gap_ms = SPAN_MS * _EVENTS_A_VISITOR / max(events, 1)
    shop = _Shop(random.Random(seed), prefix=f"s{seed}", start_ms=start_ms, gap_ms=gap_ms, is_messy=messy)
    stream = _disturb(shop.events(), random.Random(f"{seed} messy")) if messy else shop.events()
    for _, event in zip(range(events), stream, strict=False):
        yield event


class _Shop:
    """Visitors arrive at random, `gap_ms` apart on average; each one's events are planned on arrival."""

    def __init__(
        self, chance: random.Random, *, prefix: str, start_ms: int, gap_ms: float, is_messy: bool = False
    ) -> None:
        self._chance = chance
        self._is_messy = is_messy
        self._prefix = prefix
        self._now_ms = float(start_ms)
        self._gap_ms = gap_ms
        self._planned: list[tuple[int, int, Event]] = []
        self._visitors = 0
        self._events = 0
        self._orders = 0

    def events(self) -> Iterator[Event]:
        """Events in the order in which they happen, without end."""
        while True:
            self._now_ms += self._chance.expovariate(1 / self._gap_ms)
            while self._planned and self._planned[0][0] <= self._now_ms:
                yield heapq.heappop(self._planned)[2]
            self._visit(int(self._now_ms))

    def _visit(self, at_ms: int) -> None:
        self._visitors += 1
        name, _, willing = self._pick(_CHANNELS, [share for _, share, _ in _CHANNELS])
        product, price = self._pick(_PRODUCTS, [60, 30, 10])
        ids: Event = {"anonymous_id": f"{self._prefix}-v{self._visitors}"}
        if self._chance.random() < 0.1:
            ids["user_id"] = f"{self._prefix}-u{self._visitors}"
        about = {"channel": name, "campaign": self._chance.choice(_CAMPAIGNS), "product": product}
        for _ in range(self._chance.choices((1, 2, 3), (60, 30, 10))[0]):
            self._plan("impression", "web", at_ms=at_ms, ids=ids, properties=about)
            at_ms += self._delay(20 * _MINUTE)
        if self._chance.random() < _CLICK * willing:
            self._click(at_ms, ids=ids, about=about, willing=willing, price=price)

    def _click(self, at_ms: int, *, ids: Event, about: Event, willing: float, price: float) -> None:
        self._plan("click", "web", at_ms=at_ms, ids=ids, properties=about)
        if self._chance.random() >= _LEAD * willing:
            return
        at_ms += self._delay(15 * _MINUTE)
        about = about | {"temperature": self._chance.choice(("cold", "warm", "hot"))}
        self._plan(
            "lead_created",
            "web",
            at_ms=at_ms,
            ids=ids,
            properties=about | {"form": self._chance.choice(("contact", "demo"))},
        )
        about = about | {"manager": self._chance.choice(_MANAGERS)}
        deals = self._pick(_DEALS, [share for _, share in _DEALS])[0] if self._is_messy else ()
        for deal in deals:
            self._sell(at_ms, ids=ids, about=about | {"deal_id": deal}, price=price)
        if not deals:
            self._sell(at_ms, ids=ids, about=about, price=price)

    def _sell(self, at_ms: int, *, ids: Event, about: Event, price: float) -> None:
        if self._chance.random() < _OFFER:
            self._offer(at_ms + self._delay(30 * _HOUR), ids=ids, about=about, price=price)
        elif self._chance.random() < 0.6:
            self._lose("lead_lost", at_ms + self._delay(2 * _DAY), ids=ids, about=about)

    def _offer(self, at_ms: int, *, ids: Event, about: Event, price: float) -> None:
        currency = self._pick(_CURRENCIES, [80, 20])[0]
        minor = max(100, round(self._chance.lognormvariate(0, 0.3) * price * 100))
        money = {"value": f"{minor // 100}.{minor % 100:02d}", "currency": currency}
        self._plan("offer_sent", "crm", at_ms=at_ms, ids=ids, properties=about | money)
        if self._chance.random() >= _PAYMENT:
            if self._chance.random() < 0.7:
                self._lose("offer_declined", at_ms + self._delay(4 * _DAY), ids=ids, about=about)
            return
        at_ms += self._delay(3 * _DAY)
        if self._chance.random() < 0.08:
            self._plan("payment_error", "billing", at_ms=at_ms, ids=ids, properties=about | money)
            at_ms += self._delay(2 * _HOUR)
        self._pay(at_ms, ids=ids, about=about, money=money)
        while self._chance.random() < _REPEAT:
            at_ms += self._delay(12 * _DAY)
            self._pay(at_ms, ids=ids, about=about, money=money)

    def _pay(self, at_ms: int, *, ids: Event, about: Event, money: Event) -> None:
        """An order; some providers report it twice, as two events of one order."""
        self._orders += 1
        order = about | money | {"order_id": f"{self._prefix}-o{self._orders}"}
        self._plan("payment", "billing", at_ms=at_ms, ids=ids, properties=order)
        if self._chance.random() < 0.2:
            self._plan("order_paid", "billing", at_ms=at_ms + self._delay(5 * _SECOND), ids=ids, properties=order)
        if self._is_messy:
            self._change(at_ms + self._delay(2 * _DAY), ids=ids, order=order)

    def _change(self, at_ms: int, *, ids: Event, order: Event) -> None:
        """Not every sale is the last word."""
        chance = self._chance.random()
        if chance < _REFUND:
            self._plan(
                "refund", "billing", at_ms=at_ms, ids=ids, properties=order | {"refund_id": f"r-{order['order_id']}"}
            )
        elif chance < _REFUND + _WITHDRAWAL:
            self._plan("order_withdrawn", "crm", at_ms=at_ms, ids=ids, properties=order)
        elif chance < _REFUND + _WITHDRAWAL + _RESTATEMENT:
            self._plan("order_restated", "crm", at_ms=at_ms, ids=ids, properties=order | {"value": "1.00"})

    def _lose(self, name: str, at_ms: int, *, ids: Event, about: Event) -> None:
        reason = self._pick(_REASONS, [weight for _, weight in _REASONS])[0]
        self._plan(name, "crm", at_ms=at_ms, ids=ids, properties=about | {"reason": reason})

    def _plan(self, name: str, source: str, *, at_ms: int, ids: Event, properties: Event) -> None:
        self._events += 1
        event = {"id": f"{self._prefix}-{self._events}", "name": name, "occurred_at_ms": at_ms, **ids}
        event |= {"source": source, "properties": properties}
        heapq.heappush(self._planned, (at_ms, self._events, event))

    def _delay(self, typical_ms: int) -> int:
        return int(self._chance.lognormvariate(0, 0.8) * typical_ms) + 1

    def _pick(self, among: Any, weights: list[int]) -> Any:
        return self._chance.choices(among, weights)[0]


def _disturb(events: Iterator[Event], chance: random.Random) -> Iterator[Event]:
    """The same events as a real feed brings them: `received_at_ms` never goes back, `occurred_at_ms` does."""
    waiting: list[tuple[int, int, Event]] = []
    number = 0
    for event in events:
        occurred_ms = event["occurred_at_ms"]
        while waiting and waiting[0][0] <= occurred_ms:
            yield heapq.heappop(waiting)[2]
        event = _spoil_ids(_identified(event), chance)
        for received_ms in _arrivals(occurred_ms, chance):
            number += 1
            heapq.heappush(waiting, (received_ms, number, event | {"received_at_ms": received_ms}))


def _arrivals(occurred_ms: int, chance: random.Random) -> list[int]:
    draw = chance.random()
    if draw < _LATE:
        delay_ms = chance.randint(4 * _DAY, 10 * _DAY)
    elif draw < _LATE + _DISORDER:
        delay_ms = chance.randint(_MINUTE, 6 * _HOUR)
    else:
        delay_ms = chance.randint(20, 2_000)
    first_ms = occurred_ms + delay_ms
    if chance.random() < _COPIES:
        return [first_ms, first_ms + chance.randint(50, 2 * _HOUR)]
    return [first_ms]


def _identified(event: Event) -> Event:
    """Half of the visitors are known by another id to each system: a device to the web, a contact to the CRM, an
    account to billing. What joins them are the lead and the payment, which carry two. A few share a device."""
    prefix, _, number = event["anonymous_id"].rpartition("-v")
    if int(number) % 2:
        return event
    device, contact, account = event["anonymous_id"], f"{prefix}-c{number}", f"{prefix}-u{number}"
    if not int(number) % 50:
        device = f"{prefix}-v{int(number) - 2}"
    if event["source"] == "billing":
        ids: Event = {"anonymous_id": None, "contact_id": contact, "user_id": account}
    elif event["source"] == "crm":
        ids = {"anonymous_id": None, "contact_id": contact, "user_id": None}
    else:
        ids = {"anonymous_id": device, "user_id": None}
        if event["name"] == "lead_created":
            ids["contact_id"] = contact
    return {**event, **ids}


def _spoil_ids(event: Event, chance: random.Random) -> Event:
    if chance.random() >= _PLACEHOLDER:
        return event
    placeholder = chance.choice(_PLACEHOLDERS)
    if chance.random() < 0.1 and event.get("contact_id") is None:
        return {**event, "anonymous_id": placeholder, "user_id": None}
    return event if event.get("user_id") is not None else {**event, "user_id": placeholder}
