"""What a Prometheus answers to the queries of a panel, with the variables filled in. Development only."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from funnelcast.dashboards.panels import Dashboard, Query

SECONDS, STEP = 120, 2
RATE_INTERVAL = "20s"


@dataclass(frozen=True)
class Series:
    """One line of a result: its name, its labels, and (time, value) from the oldest on."""

    name: str
    labels: Mapping[str, str]
    points: list[tuple[float, float]]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


@dataclass(frozen=True)
class Results:
    """Asks one server about one funnel. `seconds` back from now."""

    url: str
    funnel: str
    seconds: int = SECONDS
    now: float = field(default_factory=time.time)

    def newest(self, board: Dashboard, query: Query) -> list[Series]:
        """As a table or a bar asks."""
        return self._ask("query", query, parameters={"query": self.filled(board, query.expr), "time": f"{self.now}"})

    def over_time(self, board: Dashboard, query: Query) -> list[Series]:
        """As a line asks."""
        span = {"start": f"{self.now - self.seconds}", "end": f"{self.now}", "step": f"{STEP}"}
        return self._ask("query_range", query, parameters={"query": self.filled(board, query.expr), **span})

    def filled(self, board: Dashboard, expr: str) -> str:
        """The query as Grafana would send it, with every variable at its default. A Prometheus that was
        started a minute ago knows no last week: the same series a little earlier stands for it."""
        chosen = {variable.name: variable.default for variable in board.variables}
        chosen |= {"funnel": self.funnel, "version": "1", "__rate_interval": RATE_INTERVAL}
        text = re.sub(r"\$(\w+)", lambda match: chosen[match[1]], expr)
        return text.replace(" offset 1w", " offset 20s")

    def _ask(self, path: str, query: Query, *, parameters: Mapping[str, str]) -> list[Series]:
        answer: dict[str, Any] = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30).json()
        if answer["status"] != "success":
            raise ValueError(f"{answer['error']}: {parameters['query']}")
        return [_series(query, found) for found in answer["data"]["result"]]


def _series(query: Query, result: Mapping[str, Any]) -> Series:
    labels: dict[str, str] = result["metric"]
    name = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), query.legend).strip()
    pairs = result["values"] if "values" in result else [result["value"]]
    return Series(" ".join(name.split()), labels, [(float(at), float(value)) for at, value in pairs])
