"""A real Prometheus and a real Alertmanager as processes of a test, on the shipped configuration in a hurry."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from funnelcast.processes.ports import free_port
from tests.support.deployed import ROOT, RULES, tool
from tests.support.http import plain_get
from tests.support.waiting import LIMIT, wait_until


def answered(check: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
    """Wait until a process answers so; no answer at all counts as another."""

    def is_so() -> bool:
        with suppress(httpx.HTTPError):
            return check()
        return False

    wait_until(is_so, limit=limit, every=0.1, what=what)


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        """`data` of an answer of its API."""
        answer = plain_get(f"{self.url}/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Samples of now."""
        result: list[dict[str, Any]] = self.get("query", query=expr)["result"]
        return result

    def number(self, expr: str) -> float | None:
        """The value of the only sample; None without any."""
        samples = self.query(expr)
        return float(samples[0]["value"][1]) if samples else None

    def evaluated_since(self, at: float) -> bool:
        """Whether every group of rules has begun an evaluation after a time that `time()` gave."""
        groups = self.get("rules")["groups"]
        times = [f"{group['lastEvaluation'][:19]}+00:00" for group in groups]
        return all(datetime.fromisoformat(text).timestamp() > at for text in times)

    def firing(self) -> list[dict[str, Any]]:
        """Alerts that fire now."""
        return [alert for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"]


@dataclass(frozen=True)
class Hurry:
    """What is shorter than as shipped or besides it, and which alerts are left out."""

    interval: str = "1s"
    scrape: str = "1s"
    """Interval and patience of a scrape."""
    without: frozenset[str] = field(default=frozenset())
    of_jobs: Mapping[str, Any] = field(default_factory=dict)
    """Added to every job."""


def _configuration(directory: Path, targets: Mapping[str, Sequence[str]], hurry: Hurry, alertmanager: str) -> Path:
    """The shipped one, with loopback targets, and in a hurry."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    pace = {"scrape_interval": hurry.scrape, "scrape_timeout": hurry.scrape}
    config["global"] = {**pace, "evaluation_interval": hurry.interval}
    config["rule_files"] = [str(_rules(directory, path, hurry)) for path in RULES]
    config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]} if alertmanager else {}
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job |= {**pace, **hurry.of_jobs, "static_configs": [{"targets": list(targets.get(job["job_name"], ()))}]}
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def _rules(directory: Path, path: Path, hurry: Hurry) -> Path:
    if not hurry.without:
        return path
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    for group in content["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert") not in hurry.without]
    copy = directory / path.name
    copy.write_text(yaml.safe_dump(content))
    return copy


@contextmanager
def running_prometheus(
    directory: Path,
    targets: Mapping[str, Sequence[str]],
    *,
    hurry: Hurry = Hurry(),
    alertmanager: str = "",
    command: Sequence[str] = (),
) -> Iterator[Prometheus]:
    """Started on a free port, which is a target of its own; ready. Debian's, without options, if no other is given."""
    port = free_port()
    path = _configuration(directory, {**targets, "prometheus": [f"127.0.0.1:{port}"]}, hurry, alertmanager)
    flags = [f"--config.file={path}", f"--storage.tsdb.path={directory / 'data'}", "--log.level=warn"]
    command = [*(command or [tool("prometheus")]), *flags, f"--web.listen-address=127.0.0.1:{port}"]
    with _process(command, directory / "prometheus.log"):
        url = f"http://127.0.0.1:{port}"
        answered(lambda: plain_get(f"{url}/-/ready").status_code == 200, "Prometheus is ready")
        yield Prometheus(url)


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(LIMIT)


class Receiver:
    """Takes webhooks of Alertmanager. `alerts`: every alert it was sent, with the receiver that it was sent to."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def pages(self) -> list[dict[str, Any]]:
        """What somebody is called for or reads in the morning: all but the heartbeat."""
        return [alert for alert in self.alerts if alert["receiver"] != "heartbeat" and alert["status"] == "firing"]

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        """Until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        alerts = self.alerts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                alerts.extend({**alert, "receiver": message["receiver"]} for alert in message["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                """Says nothing."""

        return Handler


@contextmanager
def running_alertmanager(directory: Path, receiver_url: str) -> Iterator[str]:
    """Its address: the shipped configuration, every receiver a webhook, and no patience."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text())
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": receiver_url}]
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "500ms", "group_interval": "1s"}
    path = directory / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    port = free_port()
    flags = [f"--config.file={path}", f"--storage.path={directory / 'alertmanager'}", "--cluster.listen-address="]
    command = [tool("prometheus-alertmanager"), *flags, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with _process(command, directory / "alertmanager.log"):
        url = f"http://127.0.0.1:{port}"
        answered(lambda: plain_get(f"{url}/-/ready").status_code == 200, "Alertmanager is ready")
        yield f"127.0.0.1:{port}"
