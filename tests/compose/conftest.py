"""The composed system: made once for the session, by `make up`, and taken down by `make down`.

What it runs on was made before, by `python -m tests.compose`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.compose.engine import Engine, EngineError, build_compose, run
from tests.compose.images import ROOT, load

WORK = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "funnelcast" / "compose"
"""Not in the checkout: a build looks at everything in it, and here lie devices."""


CHECKOUT = WORK / "checkout"


@dataclass(frozen=True, slots=True)
class Composed:
    """What runs, and how a test reaches it."""

    engine: Engine

    def compose(self, *words: str) -> str:
        """Standard output of `docker compose`. Raises EngineError."""
        return self.engine.docker("compose", *words, cwd=CHECKOUT)

    def services(self) -> dict[str, list[dict[str, Any]]]:
        """Containers of each service, those that ended too, as `docker compose ps` says."""
        services: dict[str, list[dict[str, Any]]] = {}
        for line in self.compose("ps", "--all", "--format", "json").splitlines():
            container = json.loads(line)
            services.setdefault(container["Service"], []).append(container)
        return services

    def get(self, url: str, *headers: str) -> str:
        """The body that a published port answers. Raises EngineError."""
        options = [word for header in headers for word in ("-H", header)]
        return self.engine.inside(["curl", "-sS", "--fail-with-body", "-m", "10", *options, url])

    def make_server_key(self) -> None:
        """As the compose file says how."""
        create = "run --rm -T --entrypoint funnelcast keys-init keys create --source crm --scope server"
        self.compose(*create.split(), "--keys", "/keys/keys.json", "--key-file", "/keys/crm.key")

    def key(self, name: str) -> str:
        """`web` and `read` were made by `keys-init`, `crm` by hand."""
        return self.compose("exec", "-T", "collector", "cat", f"/keys/{name}.key").strip()


def _clear(engine: Engine) -> None:
    engine.docker("compose", "--profile", "*", "down", "--volumes", cwd=CHECKOUT)


def _check_out() -> None:
    """What a fresh clone has: without BuildKit an engine takes all that lies in the directory, environments too."""
    shutil.rmtree(CHECKOUT, ignore_errors=True)
    for name in run(["git", "ls-files", "-z"], cwd=ROOT).rstrip("\0").split("\0"):
        copy = CHECKOUT / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy, follow_symlinks=False)


@pytest.fixture(scope="session")
def composed() -> Iterator[Composed]:
    _check_out()
    with Engine(WORK, build_compose(WORK)) as engine:
        load(engine, WORK)
        _clear(engine)  # of a run that was killed
        try:
            run(["make", "up"], env=engine.env, cwd=CHECKOUT)
            composed = Composed(engine)
            composed.make_server_key()
            yield composed
        except EngineError:
            print(engine.docker("compose", "logs", "--tail", "30", cwd=CHECKOUT))
            raise
        finally:
            run(["make", "down"], env=engine.env, cwd=CHECKOUT)
            _clear(engine)
            engine.docker("image", "prune", "--force")
