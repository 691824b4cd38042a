"""The first hour, from the built wheel in an empty environment: init, everything started, the snippet on a page without
a mark, the visit in `report` and `tail`. Black box: the product is only ever run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.wheel, pytest.mark.timeout(900)]
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"


def _run(*line: str, cwd: Path) -> str:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("FUNNELCAST_", "PYTHON"))}
    done = subprocess.run(line, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """`funnelcast`, installed as `pipx install funnelcast[embedded]` would."""
    home = tmp_path_factory.mktemp("wheel")
    pip = ("-m", "pip", "--disable-pip-version-check", "-q")
    _run(sys.executable, *pip, "wheel", "--no-deps", "-w", str(home), str(ROOT), cwd=home)
    (wheel,) = home.glob("*.whl")
    _run(sys.executable, "-m", "venv", str(home / "venv"), cwd=home)
    constraints = ("-c", str(ROOT / "constraints.txt"))
    _run(f"{home}/venv/bin/python", *pip, "install", "--no-compile", *constraints, f"{wheel}[embedded]", cwd=home)
    return f"{home}/venv/bin/funnelcast"


@pytest.fixture
def started(program: str, tmp_path: Path) -> Iterator[tuple[dict[str, str], str]]:
    """Addresses of everything, and the browser's key."""
    key = json.loads(_run(program, "init", "--json", cwd=tmp_path))["key"]
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [program, "stack", "up", "--all"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    timer = threading.Timer(200, process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
        assert line, (tmp_path / "errors").read_text()
        yield json.loads(line), key
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_visit_is_seen(program: str, started: tuple[dict[str, str], str], tmp_path: Path) -> None:
    addresses, key = started
    html = _run(program, "snippet", "--url", addresses["url"], "--key", key, "--attribute", "allow-bots", cwd=tmp_path)
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(f"<!doctype html><title>Shop</title><head>{html}</head>Hello")
    _visit(site)

    def visits() -> int:
        document = json.loads(_run(program, "report", "--json", cwd=tmp_path))
        cells = document["counters"].get("total", {}).get("all", {}).get("", {})
        return int(cells.get("visit", {}).get("entries", 0))

    assert wait_until(lambda: visits() == 1, seconds=60, what="the visit counted")
    assert "visit" in _run(program, "report", cwd=tmp_path)
    assert "page_view" in _run(program, "tail", "--no-follow", cwd=tmp_path)


def _visit(site: Path) -> None:
    """One person opens the page and stays until what it tells is taken."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium is not None, "chromium is missing: apt-get install chromium (or set CHROMIUM)"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", f"--user-agent={PERSON}"]
            )
            tab = browser.new_page()
            with tab.expect_response("**/v1/browser") as answer:
                tab.goto(f"http://127.0.0.1:{server.server_port}/")
            assert answer.value.status == 200
            browser.close()
    finally:
        server.shutdown()
        server.server_close()


def test_the_demo_runs(program: str, tmp_path: Path) -> None:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("FUNNELCAST_", "PYTHON"))}
    done = subprocess.run(
        [program, "demo"],
        cwd=tmp_path,
        env=clean | {"DEMO_SECONDS": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert "live shop:" in done.stdout
