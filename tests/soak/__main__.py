"""Starts and stops, many times, while the machine is busy: the first failure ends it with 1 and the place of its log.

Three parts: replays through a whole stack that starts for each of them; two workers that are stopped at one moment and
started again; workers on Apache Kafka that get SIGTERM in the middle of a rebalance.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.soak import Failure, restarts_of_two, starts_of_a_stack, stops_in_a_rebalance


def _burn() -> None:
    while True:
        pass


@contextlib.contextmanager
def _busy(processes: int) -> Iterator[None]:
    """The machine under load: so many processes that compute."""
    burners = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(processes)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--starts", type=int, default=300, help="replays through a stack of their own")
    parser.add_argument("--restarts", type=int, default=100, help="double restarts of two workers")
    parser.add_argument("--stops", type=int, default=300, help="SIGTERMs during a rebalance on Apache Kafka")
    parser.add_argument("--load", type=int, default=2, help="processes that compute meanwhile")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


async def _all(asked: argparse.Namespace, directory: Path) -> None:
    await starts_of_a_stack(asked.starts, directory / "starts")
    await restarts_of_two(asked.restarts, directory / "restarts")
    await stops_in_a_rebalance(asked.stops, directory / "stops", seed=asked.seed)


def main() -> int:
    """Exit code."""
    asked = _arguments()
    directory = Path(tempfile.mkdtemp(prefix="funnelcast-soak-"))
    with _busy(asked.load):
        try:
            asyncio.run(_all(asked, directory))
        except Failure as failure:
            print(f"{failure}\nlogs: {directory}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
