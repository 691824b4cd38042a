"""What a collector must never do, whatever it is sent: judges answers, its metrics, its process. Sends nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from funnelcast.fuzz.requests import FuzzRequest
from funnelcast.fuzz.wire import CLOSED, GARBLED, HUNG, Answer

RSS_LIMIT_BYTES: Final = 50 * 1024 * 1024
_PREFIX: Final = "funnelcast_collector_"
_STATUSES: Final = frozenset({200, 204, 304, 400, 401, 403, 404, 405, 408, 415, 429, 431, 503})
_TROUBLE: Final = (
    "Traceback",
    "request_failed",
    "page_failed",
    "application_failed",
    "never retrieved",
    "Exception in",
)


def fault_of(request: FuzzRequest, answer: Answer) -> str | None:
    """What is wrong with an answer, or None."""
    if answer is HUNG:
        return "neither an answer nor an end of the connection"
    if answer is GARBLED:
        return "the answer is no HTTP"
    if answer is CLOSED:
        return None if request.may_be_no_http else "no answer"
    if answer.status not in _STATUSES:
        return f"status {answer.status}"
    if answer.status < 400 or request.method == b"HEAD":
        return None
    return _fault_of_error(answer)


def _fault_of_error(answer: Answer) -> str | None:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return f"the body of a {answer.status} is no JSON: {answer.body[:100]!r}"
    if not isinstance(document, dict) or set(document) != {"code", "message", "detail"}:
        return f"the body of a {answer.status} is not code, message and detail: {answer.body[:100]!r}"
    if not all(isinstance(one, str) for one in document.values()) or not document["code"] or not document["message"]:
        return f"the body of a {answer.status} says nothing: {answer.body[:100]!r}"
    if not answer.headers.get(b"content-type", b"").startswith(b"application/json"):
        return f"the body of a {answer.status} is not said to be JSON"
    return None


Balance = dict[str, dict[str, int]]


def balance_of(metrics: str) -> Balance:
    """received, accepted, rejected, deduplicated of every source, as the collector counted them."""
    balance: Balance = defaultdict(lambda: {"received": 0, "accepted": 0, "rejected": 0, "deduplicated": 0})
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == f"{_PREFIX}events_received_total":
                balance[sample.labels["source"]]["received"] += int(sample.value)
            elif sample.name == f"{_PREFIX}events_total":
                balance[sample.labels["source"]][sample.labels["outcome"]] += int(sample.value)
    return dict(sorted(balance.items()))


def total_of(metrics: str, name: str) -> int:
    """Sum of a counter over its labels."""
    families = text_string_to_metric_families(metrics)
    return sum(int(one.value) for family in families for one in family.samples if one.name == f"{_PREFIX}{name}_total")


def faults_of_balance(balance: Balance) -> list[str]:
    """Sources for which received is not accepted + rejected + deduplicated."""
    return [
        f"source {source}: {counts}"
        for source, counts in balance.items()
        if counts["received"] != counts["accepted"] + counts["rejected"] + counts["deduplicated"]
    ]


def resident_bytes(pid: int) -> int:
    """Memory of a process (Linux). OSError when it is gone."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def troubles_in(log: Path) -> list[str]:
    """Lines of a log that tell of a bug: nothing that is sent may reach so far."""
    with log.open(encoding="utf-8", errors="replace") as file:
        return [line.strip()[:300] for line in file if any(one in line for one in _TROUBLE)]
