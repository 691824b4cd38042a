"""CRMs over real HTTP, as far as the enricher asks them: the shapes of the vendors' answers, and their faults."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

HANG_SECONDS = 30.0
TOKEN = "long-lived-token"


@dataclass
class FakeCrm:
    """`with FakeCrm() as crm: crm.url`. `faults` are used up one by one: a status, "hang" or "drop"; `is_away` drops
    everything."""

    leads: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Things by number: of amoCRM, Bitrix24 (deals and leads) and HubSpot alike."""
    faults: deque[int | str] = field(default_factory=deque)
    is_away: bool = False
    asked: list[tuple[float, str]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> FakeCrm:
        outer = self

        class Handler(_Handler):
            crm = outer

        self.woken = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.woken.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, start: str) -> int:
        """Requests whose path begins so."""
        return sum(path.startswith(start) for _, path in self.asked)

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """(status, JSON)."""
        for start, reply in ((("/api/v4/"), self._amocrm), (("/crm/v3/"), self._hubspot), (("/rest/"), self._bitrix24)):
            if path.startswith(start):
                return reply(path.removeprefix(start), query)
        return 404, {"title": "Not Found"}

    def _amocrm(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        kind, _, number = path.rpartition("/")
        if kind == "leads" and number in self.leads:
            lead = self.leads[number]
            assert query["with"] == "contacts,loss_reason,catalog_elements"
            loss = [{"id": 4, "name": lead["loss"], "sort": 1}] if lead.get("loss") else []
            goods = [{"id": 71, "metadata": {"quantity": 1, "catalog_id": 1077}, "quantity": 1, "catalog_id": 1077}]
            people = [{"id": int(lead["contact"]), "is_main": True}] if lead.get("contact") else []
            embedded = {"contacts": people, "loss_reason": loss, "catalog_elements": goods}
            return 200, {"id": int(number), "price": 777, "responsible_user_id": 109, "_embedded": embedded}
        if kind == "contacts":
            values = [{"value": f"c{number}@example.com", "enum_code": "WORK"}]
            fields = [{"field_id": 1, "field_name": "Email", "field_code": "EMAIL", "values": values}]
            return 200, {"id": int(number), "name": "C", "custom_fields_values": fields}
        if kind == "users":
            return 200, {"id": int(number), "name": f"Manager {number}", "email": "m@example.com"}
        if kind == "leads/pipelines":
            statuses = [{"id": 1003, "name": "Offer"}, {"id": 142, "name": "Won"}, {"id": 143, "name": "Lost"}]
            return 200, {"id": int(number), "name": "Sales", "_embedded": {"statuses": statuses}}
        if kind == "catalogs/1077/elements":
            return 200, {"id": int(number), "name": "Blue lamp"}
        return 204, None

    def _hubspot(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        kind, _, number = path.rpartition("/")
        if kind == "objects/deals" and number in self.leads:
            deal = self.leads[number]
            people = [{"id": deal["contact"], "type": "deal_to_contact"}] if deal.get("contact") else []
            known = {"amount": "1500.50", "deal_currency_code": "EUR", "hubspot_owner_id": "51", "pipeline": "default"}
            known["closed_lost_reason"] = deal.get("loss", "")
            moves = {"dealstage": [{"value": stage, "timestamp": at} for stage, at in deal.get("moves", [])]}
            return 200, {
                "id": number,
                "properties": known,
                "propertiesWithHistory": moves if "dealstage" in query.get("propertiesWithHistory", "") else {},
                "associations": {"contacts": {"results": people}},
            }
        if kind == "pipelines/deals":
            won = {"isClosed": "true", "probability": "1.0"}
            open_ = {"isClosed": "false", "probability": "0.4"}
            return 200, {"id": number, "stages": [{"id": "11", "metadata": open_}, {"id": "12", "metadata": won}]}
        if kind == "objects/contacts":
            return 200, {"id": number, "properties": {"email": f"c{number}@example.com", "phone": None}}
        if kind == "owners":
            return 200, {"id": number, "firstName": "Ann", "lastName": "Seller", "email": "ann@example.com"}
        return 404, {"status": "error", "category": "OBJECT_NOT_FOUND"}

    def _bitrix24(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        method, number = path.rpartition("/")[2], query.get("ID", "")
        if method in ("crm.deal.get", "crm.lead.get"):
            if number not in self.leads:
                return 400, {"error": "", "error_description": "Not found"}
            return 200, {"result": {"ID": number, **self.leads[number]}}
        people = {"ID": number, "EMAIL": [{"ID": "1", "VALUE_TYPE": "WORK", "VALUE": f"c{number}@example.com"}]}
        stages = [{"STATUS_ID": "WON", "NAME": "Deal won"}, {"STATUS_ID": "LOSE", "NAME": "Too expensive"}]
        results: dict[str, Any] = {
            "crm.contact.get": people,
            "user.get": [{"ID": number, "NAME": "Ann", "LAST_NAME": "Seller"}],
            "crm.deal.productrows.get": [{"ID": "1", "PRODUCT_NAME": "Blue lamp", "PRICE": 10, "QUANTITY": 1}],
            "crm.status.list": stages,
            "crm.stagehistory.list": {"items": self.leads.get(query.get("filter[OWNER_ID]", ""), {}).get("MOVES", [])},
        }
        return (200, {"result": results[method]}) if method in results else (404, {"error": "ERROR_METHOD_NOT_FOUND"})


class _Handler(BaseHTTPRequestHandler):
    crm: ClassVar[FakeCrm]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        crm, parts = self.crm, urlsplit(self.path)
        crm.asked.append((time.monotonic(), parts.path))
        fault = "drop" if crm.is_away else (crm.faults.popleft() if crm.faults else None)
        if fault in ("drop", "hang"):
            if fault == "hang":
                crm.woken.wait(HANG_SECONDS)
            self.close_connection = True
            return
        if isinstance(fault, int):
            crm.refused[str(fault)] += 1
            self._send(fault, {"title": "no", "status": fault}, {"Retry-After": "1"} if fault == 429 else {})
            return
        if not parts.path.startswith("/rest/") and self.headers["authorization"] != f"Bearer {TOKEN}":
            self._send(401, {"title": "Unauthorized", "status": 401}, {})
            return
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        status, document = crm.answer(parts.path, query)
        self._send(status, document, {})

    def _send(self, status: int, document: Any, headers: dict[str, str]) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return
