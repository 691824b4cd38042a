"""Every command in README and docs is run as it stands there, on one real stack: the one that the tutorial starts.

What stands for something else in a text (`KEY`, an address, a path) is replaced by what it stands for here. Commands
that run until Ctrl-C get it as soon as they work.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import pytest
import yaml

from tests.support.documents import ROOT, Shown, shown_commands, tutorial_block
from tests.support.thorough import IS_THOROUGH
from tests.support.waiting import LIMIT, wait_until

NOT_HERE = {
    r"^make demo$": "a stack of its own for minutes: tests/e2e, tests/wheel",
    r"^make test$": "this is it",
    r"^make setup$": "what runs this was made by it",
    r"^(kubectl|helm) ": "needs a cluster: tests/kubernetes",
    r"^caddy run ": "tests/integration/test_proxies.py",
    r"^funnelcast journeys send --url https://": "asks another host: tests/integration/test_journeys_sender.py",
    r"s3://": "asks another host: tests/s3",
    r"^python3 -m http.server": "Python's own; tests/wheel has the pages in a browser",
}
"""Where else it is run, or why nowhere."""
UNTIL_TOLD = re.compile(
    r"^funnelcast (stack up|collector|worker|ticker|exporter|web|enricher|journeys follow|tail\s*$|tail\s+#)"
    r"|--follow\b|--watch\b"
)
ANSWERS = {
    r"gaps accept": 70,  # there is no gap
    r"rejected show 3:1207": 2,  # there is no such dead letter
    r"^funnelcast init +#": 2,  # what is there stays
    r"journeys dead": 2,  # nothing was sent from here
}
"""Exit codes of those whose right answer here is not 0."""
AT_ONCE = 3
FIRST_READ = ("README.md", "docs/tutorial.md")
_ONE_AT_A_TIME, _ONE_LOOKS = threading.Lock(), threading.Lock()


class Shop:
    """The directory of the tutorial, and what its texts stand for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run_before: set[str] = set()
        self.running: list[subprocess.Popen[bytes]] = []
        self.replaced: dict[str, str] = {}
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("FUNNELCAST_", "DEMO_"))}
        self.env = {**clean, "PATH": f"{Path(sys.executable).parent}:{clean['PATH']}", "COLUMNS": "120"}

    @property
    def here(self) -> Path:
        """The tutorial makes its own."""
        return self.folder / "shop" if (self.folder / "shop").is_dir() else self.folder

    def know(self, addresses: dict[str, str]) -> None:
        """What the texts stand for on the stack that was started."""
        keys = {scope: self._key(scope) for scope in ("browser", "server", "historical")}
        self.replaced = {
            "funnel=sales": "funnel=shop",
            "http://127.0.0.1:8080": addresses["url"],
            "http://127.0.0.1:PORT": addresses["url"],
            "127.0.0.1:8090": addresses["page"].removeprefix("http://"),
            "127.0.0.1:9092": addresses["kafka"],
            "kafka:9092": addresses["kafka"],
            "redis://redis:6379": addresses["redis"],
            "X-Write-Key: KEY": f"X-Write-Key: {keys['server']}",
            "fcb_...": keys["browser"],
            "fcs_...": keys["server"],
            "--events 10000": "--events 1000",
            "--partitions 48": "--partitions 4",
            "curl ": "curl -f ",
            ".venv/bin/": "",
            "/data/": "./data-",
            "/etc/prometheus/": "./",
            "--state-dir /var/lib/funnelcast": "--state-dir .funnelcast",
            "/var/lib/funnelcast/": "./",
        }
        self.env |= {"KEY": keys["historical"], "FUNNELCAST_KAFKA": addresses["kafka"]}
        self.env |= {"FUNNELCAST_REDIS": addresses["redis"], "FUNNELCAST_EXPORTER__PORT": "0"}

    def _key(self, scope: str) -> str:
        line = ["funnelcast", "keys", "create", "--source", f"the-{scope}", "--scope", scope, "--json"]
        done = subprocess.run(line, cwd=self.here, env=self.env, capture_output=True, check=True)
        return str(json.loads(done.stdout)["key"])

    def has_run(self, command: str) -> bool:
        """Whether the same command was run before; the explanation behind it may differ."""
        text = re.sub(r"\s+# .*", "", command)
        with _ONE_LOOKS:
            has_run = text in self._run_before
            self._run_before.add(text)
        return has_run and not re.match(r"(export )?[A-Z_]+=", text)

    def text_of(self, command: str) -> str:
        """The command with what its texts stand for."""
        for shown, meant in self.replaced.items():
            command = command.replace(shown, meant)
        return re.sub(r"--(health-)?port \d+", r"--\1port 0", command)

    def start(self, command: str, exports: str) -> subprocess.Popen[bytes]:
        """In a group of its own, so that Ctrl-C reaches all of it, as from a terminal."""
        return subprocess.Popen(
            ["bash", "-c", f"{exports}{self.text_of(command)}"],
            cwd=self.here,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, command: str, exports: str = "") -> str | None:
        """What is wrong with it; None where it did what it should."""
        expected = next((code for pattern, code in ANSWERS.items() if re.search(pattern, command)), 0)
        process = self.start(command, exports)
        try:
            out, err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            return f"$ {command}\ndid not end\n{err.decode()[-800:]}"
        if process.returncode == expected and b"Traceback" not in err:
            return None
        return f"$ {self.text_of(command)}\nexit {process.returncode}\n{(out + err).decode()[-800:]}"

    def run_until_told(self, command: str, exports: str) -> str | None:
        """Start it, Ctrl-C when it has its handlers, and it has to end well."""
        process = self.start(command, f"export FUNNELCAST_STATE_DIR=$(mktemp -d -p .)\n{exports}")
        try:
            wait_until(lambda: process.poll() is not None or _listens(process.pid), what=command)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            return f"$ {command}\ndoes not end by Ctrl-C\n{err.decode()[-800:]}"
        if process.returncode in (0, 130, -signal.SIGINT) and b"Traceback" not in err.replace(b"Exception in", b""):
            return None
        return f"$ {self.text_of(command)}\nexit {process.returncode}\n{(out + err).decode()[-800:]}"


def _listens(group: int) -> bool:
    """Whether a process of the group has a handler for SIGTERM of its own: it works, and takes Ctrl-C."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            status = (path / "status").read_text()
        except OSError:
            continue
        caught = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), 16)
        if int(fields[2]) == group and caught & (1 << (signal.SIGTERM - 1)):
            return True
    return False


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("documents"))
    yield shop
    for process in shop.running:
        os.killpg(process.pid, signal.SIGINT)
    for process in shop.running:
        try:
            process.communicate(timeout=LIMIT)
        finally:
            process.kill()


def _is_not_here(command: str) -> bool:
    return any(re.search(pattern, command) for pattern in NOT_HERE)


def test_every_exception_is_about_a_command_that_is_shown() -> None:
    shown = [each.text for each in shown_commands()]
    patterns = [*NOT_HERE, *ANSWERS]
    assert [pattern for pattern in patterns if not any(re.search(pattern, text) for text in shown)] == []


def test_every_command_that_is_shown_does_what_it_should(shop: Shop) -> None:
    """All of them where it is decided whether a change lands; README's and the tutorial's while one works."""
    shown = [each for each in shown_commands() if IS_THOROUGH or each.document in FIRST_READ]
    blocks = [list(group) for _, group in groupby(shown, key=lambda each: (each.document, each.block))]
    is_tutorial = {block[0].document: block[0].document == "docs/tutorial.md" for block in blocks}
    wrong = [fault for block in blocks if is_tutorial[block[0].document] for fault in _run_block(shop, block)]
    assert wrong == [], "\n\n".join(wrong)
    _make_ready(shop)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        others = [block for block in blocks if not is_tutorial[block[0].document]]
        wrong = [fault for faults in pool.map(lambda block: _run_block(shop, block), others) for fault in faults]
    assert wrong == [], "\n\n".join(wrong)


def _run_block(shop: Shop, block: list[Shown]) -> list[str]:
    exports, wrong = "", []
    for shown in block:
        if _is_not_here(shown.text) or shop.has_run(shown.text):
            continue
        if re.match(r"(export )?[A-Z_]+=", shown.text):
            exports += f"{shop.text_of(shown.text).partition('  #')[0]}\n"
            continue
        fault = _run(shop, shown, exports)
        wrong += [] if fault is None else [f"{shown.document}: {fault}"]
    return wrong


def _run(shop: Shop, shown: Shown, exports: str) -> str | None:
    if "stack up" in shown.text:
        return _start_stack(shop, shown.text)
    if UNTIL_TOLD.search(shown.text):
        return shop.run_until_told(shown.text, exports)
    if shown.text.startswith("funnelcast person"):  # what was just imported is counted within seconds
        wait_until(lambda: shop.run(shown.text, exports) is None, what=shown.text)
        return None
    if "recount" not in shown.text:
        return shop.run(shown.text, exports)
    with _ONE_AT_A_TIME:
        return shop.run(shown.text, exports)


def _start_stack(shop: Shop, command: str) -> str | None:
    """The one that all others use."""
    (shop.here / "pages.yaml").write_text(tutorial_block("yaml"))
    (shop.here / "orders.csv").write_text(tutorial_block("csv"))
    process = shop.start(command, "")
    shop.running.append(process)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        return f"$ {command}\n{process.communicate()[1].decode()}"
    shop.know(json.loads(line))
    return None


def _make_ready(shop: Shop) -> None:
    """The files that other documents name."""
    here, hook = shop.here, {"name": "shop", "provider": "stripe", "secrets": ["whsec_0123456789abcdef"]}
    shopify = {"name": "shopify", "provider": "shopify", "secrets": ["0123456789abcdef"]}
    (here / "webhooks.yaml").write_text(yaml.safe_dump({"hooks": [hook, shopify, AMOCRM]}))
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    (here / "google-ads.csv").write_text(f"Day,Campaign,Cost,Currency code\n{yesterday},brand,12.50,EUR\n")
    for sample, name in (("stripe-session-completed", "delivery"), ("shopify-orders-paid", "order")):
        delivery = json.loads((ROOT / f"producers/samples/webhook-{sample}.json").read_text())
        (here / f"{name}.json").write_text(
            delivery["body"] if isinstance(delivery["body"], str) else json.dumps(delivery["body"])
        )
    done = subprocess.run(
        ["funnelcast", "simulate", "--seed", "3", "--events", "3000"], env=shop.env, capture_output=True, check=True
    )
    (here / "history.jsonl").write_bytes(done.stdout)
    shop.env["FUNNELCAST_WEBHOOKS"] = "webhooks.yaml"


AMOCRM = {
    "name": "crm",
    "provider": "amocrm",
    "secrets": ["0123456789abcdef0123456789abcdef"],
    "api": {"url": "http://127.0.0.1:9", "token": "t"},
}
