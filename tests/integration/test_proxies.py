"""The proxies' configurations that ship, with the programs themselves: they are right, and events go through them with
the client's address, over TLS."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from funnelcast.processes.ports import free_port
from tests.support.running_collector import RunningCollector, running_collector
from tests.support.stack import StackAddresses
from tests.support.waiting import LIMIT, until

DEPLOY = Path(__file__).parents[2] / "deploy" / "proxy"
NAME = "collect.shop.example"
MAIN = "pid {directory}/nginx.pid; error_log {directory}/error.log; events {{}} "
CONFIG = MAIN + "http {{ {temporary} include {file}; }}"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def program(name: str) -> str:
    """Where a proxy is; Debian has both."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        pytest.fail(f"{name} is missing: apt-get install {name}")
    return path


def certificate(directory: Path) -> tuple[Path, Path]:
    """(certificate, key) of the host, signed by itself."""
    paths = directory / "cert.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"]
    subprocess.run([*command, "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def nginx(directory: Path, collector: int, port: int) -> list[str]:
    """The command of nginx with our file, on a port of its own."""
    cert, key = certificate(directory)
    text = (DEPLOY / "nginx.conf").read_text().replace("127.0.0.1:8080", f"127.0.0.1:{collector}")
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    text = text.replace(f"/etc/letsencrypt/live/{NAME}/fullchain.pem", str(cert))
    text = text.replace(f"/etc/letsencrypt/live/{NAME}/privkey.pem", str(key))
    (directory / "site.conf").write_text(text)
    temporary = " ".join(f"{kind}_temp_path {directory}/{kind};" for kind in TEMPORARY)
    whole = CONFIG.format(directory=directory, temporary=temporary, file=directory / "site.conf")
    (directory / "nginx.conf").write_text(whole)
    return [program("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf")]


def caddy(directory: Path, collector: int, port: int) -> list[str]:
    """The command of Caddy with our file; the certificate is its own authority's, for the real one needs the name."""
    text = (DEPLOY / "Caddyfile").read_text().replace("127.0.0.1:8080", f"127.0.0.1:{collector}")
    head = f"{{\n\tadmin off\n\tskip_install_trust\n\thttp_port {free_port()}\n\thttps_port {port}\n\tlocal_certs\n}}\n"
    (directory / "Caddyfile").write_text(head + text)
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile")]


def test_caddy_takes_the_file_as_it_ships(tmp_path: Path) -> None:
    command = [program("caddy"), "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"HOME": str(tmp_path)}, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nginx_takes_the_file_as_it_ships(tmp_path: Path) -> None:
    done = subprocess.run([*nginx(tmp_path, 8080, free_port()), "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


@contextmanager
def running(command: list[str], directory: Path) -> Iterator[Path]:
    """The proxy, until the end; its log."""
    path = directory / "proxy.log"
    with path.open("w") as log:
        proxy = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(directory)}, cwd=directory)
    try:
        yield path
    finally:
        proxy.terminate()
        proxy.wait(LIMIT)


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
async def test_events_go_through_with_the_clients_address(
    kind: str, embedded_stack: StackAddresses, fresh_space: str, tmp_path: Path
) -> None:
    flags = ("--open", "--trusted-proxies", "127.0.0.1", "--ip", "keep")
    async with running_collector(embedded_stack.kafka, fresh_space, tmp_path, *flags) as collector:
        port = free_port()
        command = {"nginx": nginx, "caddy": caddy}[kind](tmp_path, int(collector.url.rpartition(":")[2]), port)
        if kind == "nginx":
            command += ["-g", "daemon off;"]
        with running(command, tmp_path) as log:
            await _through(port, collector, log)


async def _through(port: int, collector: RunningCollector, log: Path) -> None:
    """A visitor without a cookie is known by the address: one that is forged changes nothing."""
    transport = httpx.AsyncHTTPTransport(verify=False)  # signed by itself
    async with httpx.AsyncClient(transport=transport, base_url=f"https://127.0.0.1:{port}") as client:

        async def ask(method: str, path: str, forged: str = "203.0.113.9", **body: object) -> httpx.Response | None:
            headers = {"Host": NAME, "X-Forwarded-For": forged}
            request = client.build_request(method, path, headers=headers, json=body, extensions={"sni_hostname": NAME})
            try:
                return await client.send(request)
            except httpx.TransportError:
                return None

        async def is_there() -> bool:
            return await ask("GET", "/nothing") is not None

        await until(is_there, every=0.1, what=lambda: f"an answer\n{log.read_text()}")
        for number, forged in enumerate(("203.0.113.9", "198.51.100.1")):
            body = {"cookieless": True, "debug": True, "events": [{"id": str(number), "name": "page_view"}]}
            answer = await ask("POST", "/v1/browser", forged, **body)
            assert answer is not None
            assert answer.json()["accepted"] == 1, answer.text
        for path in ("/readyz", "/healthz", "/metrics"):
            answer = await ask("GET", path)
            assert answer is not None
            assert answer.status_code == 404, path
    records = [json.loads(one.value) for one in await collector.records(collector.topics.events, 2)]
    assert len({one["anonymous_id"] for one in records}) == 1
