"""A proxy before the collector that answers the first events in its place, as a collector in trouble would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from tests.browser.server import Answer, PageServer
from tests.support.waiting import LIMIT

_HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "date", "server", "content-encoding"}
_ALLOWED = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}


@dataclass
class Gate(PageServer):
    """`left` more POSTs are answered with `status` and `headers`; the others, and every GET, go through."""

    target: str
    status: int = 503
    left: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    """Of every POST."""

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Its own, or the collector's."""
        if method == "POST":
            self.bodies.append(body)
            if self.left > 0:
                self.left -= 1
                return Answer(self.status, {**_ALLOWED, **self.headers}, b"{}")
        return self._passed_on(method, path, headers, body)

    def _passed_on(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        sent = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
        answer = httpx.request(method, self.target + path, headers=sent, content=body, timeout=LIMIT)
        back = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
        return Answer(answer.status_code, back, answer.content)
