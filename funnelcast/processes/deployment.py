"""How each of our processes is started as a child: arguments, environment, readiness. Starts nothing itself."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from funnelcast.processes.child import Child, Probe, ProcessSpec
from funnelcast.settings.catalogue import variables_of
from funnelcast.settings.sections import KafkaSettings, RedisSettings
from schemas.kafka import Kafka, KafkaServers
from streams.defaults import WATERMARK_DELAY_MS

PROBE_SECONDS = 3.0
ANY_PORT: Final = 0
"""The system chooses, at every start; `Child.listening` knows."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the processes of one space share."""

    kafka: Kafka
    redis: str
    space: str
    funnels: tuple[str, ...]
    directory: Path
    watermark_delay_ms: int = WATERMARK_DELAY_MS
    keys: Path | None = None
    contact_key: str | None = None
    channels: Path | None = None

    def environment(self) -> dict[str, str]:
        """Settings of a child: everything is given, so that a caller's own environment cannot leak in."""
        servers = KafkaServers.of(self.kafka)
        return {
            **variables_of(KafkaSettings),
            **variables_of(RedisSettings),
            **servers.variables(),
            "FUNNELCAST_KAFKA": str(servers),
            "FUNNELCAST_REDIS": self.redis,
            "FUNNELCAST_SPACE": self.space,
            "FUNNELCAST_FUNNELS": ",".join(self.funnels),
            "FUNNELCAST_STATE_DIR": str(self.directory.resolve()),
            "FUNNELCAST_WATERMARK_DELAY": f"{self.watermark_delay_ms}ms",
            "FUNNELCAST_KEYS": str(self.keys.resolve()) if self.keys is not None else "",
            "FUNNELCAST_CONTACT_KEY": self.contact_key or "",
            "FUNNELCAST_CHANNELS": str(self.channels.resolve()) if self.channels is not None else "",
        }

    def collector(self, port: int = ANY_PORT) -> ProcessSpec:
        """The collector on a loopback port; without keys it takes events from anyone on this machine."""
        extra = () if self.keys is not None else ("--open",)
        return self._spec("collector", "collector", "--port", str(port), *extra, port=port)

    def worker(self, number: int, health_port: int = ANY_PORT) -> ProcessSpec:
        """Worker `number` (from 1)."""
        return self._spec(f"worker-{number}", "worker", "--health-port", str(health_port), port=health_port)

    def exporter(self, port: int) -> ProcessSpec:
        """The exporter on a loopback port."""
        return self._spec("exporter", "exporter", "--port", str(port), port=port)

    def web(self, port: int) -> ProcessSpec:
        """The live page and the reports API on a loopback port."""
        return self._spec("web", "web", "--port", str(port), port=port)

    def canary(self, url: str, health_port: int) -> ProcessSpec:
        """The canary, through a collector that takes events without a key."""
        return self._spec("canary", "canary", "--url", url, "--health-port", str(health_port), port=health_port)

    def ticker(self) -> ProcessSpec:
        """The ticker."""
        return self._spec("ticker", "ticker")

    def _spec(self, name: str, *arguments: str, port: int | None = None) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            argv=(sys.executable, "-m", "funnelcast", *arguments),
            probe=readiness(port) if port else None,
            probe_at=is_ready_at if port == ANY_PORT else None,
            env=self.environment(),
        )


def readiness(port: int) -> Probe:
    """Probe of a process that answers `GET /readyz` with 200 when it is ready."""

    return partial(is_ready_at, port)


async def is_ready_at(port: int) -> bool:
    """Whether the process on a loopback port says that it is ready."""
    return await status_of(port, "/readyz") == 200


def events_of(collector: Child) -> str:
    """Where a collector on a port of the system's choice takes events now."""
    return f"http://127.0.0.1:{collector.listening.port() or 0}/v1/events"


async def status_of(port: int, path: str) -> int | None:
    """Status of a GET on loopback; None when there is no answer in time."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), PROBE_SECONDS)
    except (OSError, TimeoutError):
        return None
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        line = await asyncio.wait_for(reader.readline(), PROBE_SECONDS)
        return int(line.split()[1]) if line.startswith(b"HTTP/") else None
    except (OSError, TimeoutError, IndexError, ValueError):
        return None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
