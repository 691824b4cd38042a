"""Three brokers of Apache Kafka that are one cluster: everything is kept three times, and two must have it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from types import TracebackType

from funnelcast.processes.ports import free_port
from funnelcast.stack.real_kafka import RealKafka

BROKERS = 3


class ThreeBrokers:
    """`async with ThreeBrokers(directory) as brokers:`; `kill_one` kills and starts again."""

    def __init__(self, directory: Path) -> None:
        controllers = [free_port() for _ in range(BROKERS)]
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(controllers, 1))
        self._directory = directory
        self.brokers = [
            self._broker(directory, number, controller, voters) for number, controller in enumerate(controllers, 1)
        ]

    @staticmethod
    def _broker(directory: Path, number: int, controller: int, voters: str) -> RealKafka:
        port = free_port()
        return RealKafka(
            directory / f"broker-{number}",
            port=port,
            properties={
                "node.id": number,
                "controller.quorum.voters": voters,
                "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
                "default.replication.factor": BROKERS,
                "min.insync.replicas": BROKERS - 1,
                "offsets.topic.replication.factor": BROKERS,
                "transaction.state.log.replication.factor": BROKERS,
                "transaction.state.log.min.isr": BROKERS - 1,
                "share.coordinator.state.topic.replication.factor": BROKERS,
                "share.coordinator.state.topic.min.isr": BROKERS - 1,
            },
        )

    @property
    def bootstrap(self) -> str:
        """Addresses of all."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    async def __aenter__(self) -> ThreeBrokers:
        async with RealKafka(self._directory / "first"):
            pass  # makes the class archive where there is none: a voter alone never gets ready, so it cannot
        try:
            await asyncio.gather(*(broker.start() for broker in self.brokers))
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def kill_one(self, rng: Random) -> None:
        """Kill -9, then start it again."""
        broker = rng.choice(self.brokers)
        broker.kill()
        await broker.gone()
        await broker.start()

    async def _stop(self) -> None:
        await asyncio.gather(*(broker.stop() for broker in self.brokers))
