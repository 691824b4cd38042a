"""The first hour, from the built wheel in an empty environment, as README and docs/tutorial.md say it: init, everything
started, the snippet on pages without a mark, the visit in `report` and `tail`; a funnel of three pages counts it too; a
table imported; a second version compared. Black box: the product is only ever run."""

from __future__ import annotations

import json
import os
import re
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

from tests.support.documents import tutorial_block
from tests.support.waiting import LIMIT, LONG_LIMIT, wait_until

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.wheel
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"


def _run(*line: str, cwd: Path) -> str:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("FUNNELCAST_", "PYTHON"))}
    done = subprocess.run(line, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=LONG_LIMIT)
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
    key = json.loads(_run(program, "init", "--currency", "EUR", "--json", cwd=tmp_path))["key"]
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [program, "stack", "up", "--all"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    timer = threading.Timer(500, process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
        assert line, (tmp_path / "errors").read_text()
        yield json.loads(line), key
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 0
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


PAGES = ("index", "pricing", "thanks")


def test_the_first_hour(program: str, started: tuple[dict[str, str], str], tmp_path: Path) -> None:
    addresses, key = started
    command = partial(_run, program, cwd=tmp_path)
    html = command("snippet", "--url", addresses["url"], "--key", key, "--attribute", "allow-bots")
    _visit(_site(tmp_path / "site", html))

    def entries(*question: str) -> dict[str, int]:
        document = json.loads(command("report", *question, "--json"))
        cells = document["counters"].get("total", {}).get("all", {}).get("", {})
        return {stage: families["entries"] for stage, families in cells.items() if "entries" in families}

    reached = {"visit": 1, "engaged": 1, "checkout_or_lead": 1}
    assert wait_until(lambda: entries() == reached, what="the visit counted")
    assert "visit" in command("report")
    assert command("tail", "--no-follow").count("page_view") == len(PAGES)

    (tmp_path / "pages.yaml").write_text(tutorial_block("yaml"))
    command("funnels", "check", "pages.yaml")
    command("recount", "pages.yaml")
    assert entries("--funnel", "pages") == {"home": 1, "pricing": 1, "thanks": 1}, "what came before is counted too"

    (tmp_path / "orders.csv").write_text(tutorial_block("csv"))
    suggested = command("import", "--suggest", "orders.csv")
    (tmp_path / "orders.yaml").write_text(re.sub(r'"\?\?\? what a row is[^"]*"', "payment", suggested))
    assert json.loads(command("import", "orders.yaml", "--dry-run", "--json"))["events"][0]["count"] == 3
    command("keys", "create", "--source", "history", "--scope", "historical", "--key-file", "history.key")
    command("import", "orders.yaml", "--key-file", "history.key")
    assert wait_until(lambda: entries() == {**reached, "payment": 2}, what="the orders of two people")
    assert "orders 3 · revenue 185.40 EUR" in command("report")
    assert "won" in command("person", "ann@shop.example")

    second = (
        tutorial_block("yaml").replace("version: 1", "version: 2").replace("abandon_after: 1h", "abandon_after: 10m")
    )
    (tmp_path / "pages-2.yaml").write_text(second)
    compared = json.loads(command("recount", "pages-2.yaml", "--dry-run", "--json"))["compared"]
    assert (compared["before"], compared["now"]) == ("pages@1", "pages@2")
    assert [stage["numbers"]["entries"] for stage in compared["stages"]] == [{"before": 1, "now": 1}] * len(PAGES)
    assert "pages@2 compared with pages@1" in command("recount", "pages-2.yaml", "--compare")
    assert json.loads(command("report", "--funnel", "pages", "--json"))["version"] == 2


def _site(folder: Path, html: str) -> Path:
    folder.mkdir()
    for page in PAGES:
        links = "".join(f"<a href={other}.html>{other}</a>" for other in PAGES)
        (folder / f"{page}.html").write_text(f"<!doctype html><title>{page}</title>{html}<h1>{page}</h1>{links}")
    return folder


def _visit(site: Path) -> None:
    """One person walks through the pages, and stays on each until what it tells is taken."""
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
            for page in PAGES:
                with tab.expect_response("**/v1/browser") as answer:
                    tab.goto(f"http://127.0.0.1:{server.server_port}/{page}.html")
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
        timeout=LONG_LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert "live shop:" in done.stdout
