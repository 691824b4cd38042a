"""`python -m tests.support.tally_worker`: the worker as a process of its own, counting records and offsets.

Writes one line per apply to its journal: monotonic seconds (the machine's, comparable between processes), partition,
records. Everything but the counting is the product's: transport, runners, store, signals, exit codes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from funnelcast.logs import configure_logs
from funnelcast.signals import stop_event
from schemas.topics import Topics
from streams.store.connection import connect
from streams.store.redis import RedisPartitionStore
from streams.worker.app import Worker
from streams.worker.settings import WorkerSettings
from tests.support.tally import TallyProcessor


async def main(arguments: argparse.Namespace) -> int:
    """Run to the end; the exit code."""
    configure_logs()
    store = RedisPartitionStore(connect(arguments.redis), arguments.space)
    with Path(arguments.journal).open("a", buffering=1) as journal:  # noqa: ASYNC230 - a line per apply, buffered

        def note(partition: int, records: int) -> None:
            journal.write(f"{time.monotonic():.4f} {partition} {records}\n")

        settings = WorkerSettings(
            arguments.kafka,
            Topics(arguments.space),
            [],
            Path(arguments.data_dir or Path(arguments.journal).with_suffix(".data")),
            health_port=arguments.health_port,
            session_seconds=arguments.session,
            start_seconds=arguments.start,
            identity_seconds=1.0,
            fetch_min_bytes=1,
            stop=stop_event(),
        )
        workers: list[Worker] = []
        workers.append(
            Worker(
                settings,
                store,
                make_processor=lambda partition: TallyProcessor(workers[0].store, partition, on_chunk=note),
            )
        )
        return await workers[0].run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("kafka", "redis", "space", "journal"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--data-dir", help="default: one of its own, as on a machine of its own")
    parser.add_argument("--session", type=float, default=6.0)
    parser.add_argument("--start", type=float, default=30.0)
    parser.add_argument("--health-port", type=int, default=0)
    code = asyncio.run(main(parser.parse_args()))
    sys.stderr.flush()
    os._exit(code)
