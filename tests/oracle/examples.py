"""The worked examples of the counting rules as funnels and logs, for the oracle and for the product alike."""

from __future__ import annotations

from typing import Any

from tests.oracle.build import DAY, HOUR, event, funnel, tick

Log = list[dict[str, Any]]

FOUR_STEPS = funnel(["attention", "interest", "desire", {"name": "action", "on": ["action"], "order": True}])
VISITS = funnel(["visit", {"name": "payment", "on": ["payment"], "order": True}])
CALLS = funnel(["visit", "call", {"name": "payment", "on": ["payment"], "order": True}])
COLD_CALLS = funnel(["cold_call", "decision_maker", {"name": "payment", "on": ["payment"], "order": True}])
INVOICES = funnel(["invoice", {"name": "payment", "on": ["payment"], "order": True}])
LEADS = funnel(["lead", {"name": "payment", "on": ["payment"], "order": True}])


def people_through(stages: list[str], numbers: list[int], **properties: Any) -> Log:
    """`numbers[k]` people reach `stages[k]`, an hour at a time; the same ones go on."""
    log = [
        event(stage, at * HOUR, f"p{who}", id=f"{stage}-{who}", **properties)
        for at, (stage, number) in enumerate(zip(stages, numbers, strict=True))
        for who in range(number)
    ]
    return [*log, tick(3 * DAY)]


def thousand_to_one() -> Log:
    """1000 -> 100 -> 10 -> 1."""
    return people_through(["attention", "interest", "desire", "action"], [1000, 100, 10, 1])


def three_purchases() -> Log:
    """Purchases of 100, 1,000 and 10,000."""
    return [event("payment", at, f"p{at}", value=value) for at, value in enumerate(["100", "1000.00", 10_000])]


def one_to_eighty() -> Log:
    """4,000 visitors, 50 sales."""
    return people_through(["visit", "payment"], [4000, 50])


def traffic(times: int) -> Log:
    """200 visitors, 4 calls, 1 sale; times that many."""
    return people_through(["visit", "call", "payment"], [200 * times, 4 * times, times])


def cold_calls(reached: int) -> Log:
    """30 cold calls, so many of which reach the decision maker; one in ten of those buys."""
    return people_through(["cold_call", "decision_maker", "payment"], [30, reached, reached // 10])


def invoices(paid: int) -> Log:
    """100 invoices of 10,000 of which so many are paid."""
    return people_through(["invoice", "payment"], [100, paid], value="10000")


def leads() -> Log:
    """300 leads, 1 sale."""
    return people_through(["lead", "payment"], [300, 1])


def lead_budget() -> Log:
    """81,000,000.00 spent on 3,000 leads."""
    day = {**event("ad_spend", 0, day="2025-01-01", amount="81000000"), "user_id": None}
    return [day, *people_through(["lead", "payment"], [3000, 10])]


UPLIFTS_PER_MILLE = [70, 20, 10, 40, 50, 5, 10]
EIGHT_STEPS = funnel([f"s{at}" for at in range(8)])


def entries_with_uplifts(per_mille: list[int]) -> dict[str, dict[str, int]]:
    """A cell of eight stages whose step conversions are a half, each lifted by so many per mille."""
    entries = [2000 ** len(per_mille)]
    for lift in per_mille:
        entries.append(entries[-1] * (1000 + lift) // 2000)
    return {f"s{at}": {"entries": number} for at, number in enumerate(entries)}
