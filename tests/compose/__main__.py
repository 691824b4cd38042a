"""`python -m tests.compose`: fetch and build what the tests of docker-compose.yml run on. It takes minutes, once."""

from __future__ import annotations

import sys
import time

from tests.compose.conftest import WORK
from tests.compose.engine import EngineError, build_compose, install_packages
from tests.compose.images import prepare

if __name__ == "__main__":
    began = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    try:
        install_packages()
        build_compose(WORK)
        prepare(WORK)
    except EngineError as error:
        sys.exit(f"tests.compose: {error}")
    print(f"tests.compose: ready after {time.monotonic() - began:.0f} s")
