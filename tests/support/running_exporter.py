"""`funnelcast exporter` as a process, on a space with the small shop in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from funnelcast.processes.ports import free_port
from schemas.funnel.definition import definition_of
from streams.store.connection import close, connect
from streams.store.redis import RedisPartitionStore
from tests.support.http import plain_get
from tests.support.prometheus import answered
from tests.support.shop import SHOP, fill
from tests.support.waiting import LIMIT


@dataclass(frozen=True)
class Exporter:
    """A running `funnelcast exporter`."""

    url: str
    process: subprocess.Popen[bytes]

    def page(self) -> str:
        """/metrics as it is."""
        return plain_get(f"{self.url}/metrics").text

    def value(self, sample: str) -> float:
        """Of the line that begins so."""
        match = re.search(rf"^{re.escape(sample)} (\S+)$", self.page(), re.MULTILINE)
        assert match, f"{sample} is not on the page"
        return float(match[1])


def definition(directory: Path) -> Path:
    """A file of the shop's funnel."""
    path = directory / "shop.json"
    path.write_text(json.dumps(definition_of(SHOP)))
    return path


def command(name: str, directory: Path, redis: str, space: str, *options: str) -> list[str]:
    """Of the funnelcast command line, on that space."""
    shared = ["--redis", redis, "--space", space, "--funnels", str(definition(directory))]
    return [name, *shared, *options]


@contextmanager
def running_exporter(directory: Path, redis: str, space: str) -> Iterator[Exporter]:
    """Until the end of the block; it must end well."""
    port = free_port()
    log = (directory / "exporter.log").open("wb")
    line = command("exporter", directory, redis, space, "--port", str(port))
    process = subprocess.Popen([sys.executable, "-m", "funnelcast", *line], stderr=log)
    url = f"http://127.0.0.1:{port}"
    answered(lambda: plain_get(f"{url}/healthz").status_code == 200, "the exporter answers")
    try:
        yield Exporter(url, process)
    finally:
        process.terminate()
        code = process.wait(LIMIT)
        log.close()
    assert code == 0, (directory / "exporter.log").read_text()


async def fill_space(redis: str, space: str, at_ms: int) -> None:
    """Count the shop's events of two hours."""
    client = connect(redis)
    try:
        await fill(RedisPartitionStore(client, space), SHOP, now_ms=at_ms)
    finally:
        await close(client)
