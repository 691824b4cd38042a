"""`funnelcast collector`: the HTTP side. Composes settings, keys, checks and the Kafka sink; decides nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from funnelcast.commands.options import with_settings
from funnelcast.settings import SettingsError
from funnelcast.settings.processes import CollectorSettings

if TYPE_CHECKING:
    from funnelcast.processes.collector_processes import CollectorProcess
    from producers.access.keys import KeyRing
    from producers.collector.admission import Admission
    from producers.collector.app import Collector
    from producers.collector.health import Health
    from producers.http.server import Beside
    from producers.ingest.checks import Ingest
    from producers.sink.kafka import KafkaSink
    from producers.sink.port import Sink
    from producers.spool.sink import SpoolSink
    from producers.visitors.visitor import VisitorRules
    from producers.webhooks.config import Webhooks
    from schemas.kafka import KafkaRefusedError

app = typer.Typer(add_completion=False)
_SPOOL_SECONDS = 5
"""A request that Kafka does not acknowledge in time still goes to disk: a stop waits so much longer."""


class _Parts(NamedTuple):
    """Built from the settings before anything starts, so that a wrong setting ends the command."""

    keys: KeyRing
    ingest: Ingest
    webhooks: Webhooks | None


@app.command(
    epilog="Examples:  funnelcast collector --port 8080 --open --kafka 127.0.0.1:9092  ·  "
    "FUNNELCAST_KEYS=keys.json funnelcast collector --port 8080 --host 0.0.0.0"
)
@with_settings(CollectorSettings)
def collector(
    settings: CollectorSettings,
    *,
    worker_index: Annotated[int | None, typer.Option(hidden=True)] = None,
    worker_directory: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Take events over HTTP and answer when Kafka has acknowledged them. SIGTERM drains and exits 0."""
    import uvloop

    from funnelcast.processes.collector_processes import CollectorProcess, run_processes
    from funnelcast.readers import check_readers

    settings.need_kafka()
    check_readers(settings)
    parts = _parts(settings)
    if settings.workers > 1 and worker_index is None:
        health = None if settings.health_port is None else (settings.health_host, settings.health_port)
        ports = run_processes(settings.workers, sys.argv[1:], host=settings.host, port=settings.port, health=health)
        asyncio.run(ports)
        return
    worker = (
        CollectorProcess()
        if worker_index is None
        else CollectorProcess(worker_index, settings.workers, worker_directory)
    )
    uvloop.run(_run(settings, parts, worker=worker))


def _parts(settings: CollectorSettings) -> _Parts:
    return _Parts(
        keys=_key_ring(settings),
        ingest=build_ingest(settings),
        webhooks=None if settings.webhooks is None else _webhooks(settings.webhooks),
    )


def build_ingest(settings: CollectorSettings) -> Ingest:
    """The checks of events and the limits of a request."""
    from funnelcast.ingest import ingest_of
    from producers.ingest.limits import Limits

    limits = Limits(
        body_bytes=settings.max_body_bytes, event_bytes=settings.max_event_bytes, events=settings.max_events
    )
    return ingest_of(settings, limits, strict_names=settings.strict_names)


def _webhooks(path: Path) -> Webhooks:
    import os

    from producers.webhooks.config import load_webhooks

    return load_webhooks(path, os.environ)


def _key_ring(settings: CollectorSettings) -> KeyRing:
    from producers.access.keys import KeyRing, read_keys
    from producers.ingest.verdicts import Sender

    if settings.is_open and not _is_loopback(settings.host):
        raise SettingsError("--open takes events from anyone, so it listens on loopback only; leave --host away")
    if settings.keys is None and not settings.is_open:
        raise SettingsError(
            "no write keys: set FUNNELCAST_KEYS (or --keys) to a file of `funnelcast keys create`, "
            "or give --open to take events from this machine without a key"
        )
    if settings.keys is not None and not settings.is_open and not any(key.may_send for key in read_keys(settings.keys)):
        raise SettingsError(f"{settings.keys} holds no write key; make one: funnelcast keys create --source web")
    return KeyRing(settings.keys, open_sender=Sender() if settings.is_open else None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _run(settings: CollectorSettings, parts: _Parts, *, worker: CollectorProcess) -> None:
    from funnelcast.logs import configure_logs
    from funnelcast.settings.show import log_settings
    from funnelcast.signals import stop_event
    from funnelcast.structlog_alone import structlog
    from producers.http.server import serve

    configure_logs()
    log_settings(settings)
    log, stop = structlog.get_logger("funnelcast.collector"), stop_event()
    refusals: list[KafkaRefusedError] = []

    def end(error: KafkaRefusedError) -> None:
        refusals.append(error)
        stop.set()

    sink = _sink(settings, worker, on_refused=end)
    app = _application(settings, parts, worker=worker, sink=sink)
    async with _peers(worker, app=app, sink=sink):
        await serve(
            app,
            sink,
            host=settings.host,
            port=settings.port,
            stop=stop,
            drain_seconds=int(settings.ack_timeout) + _SPOOL_SECONDS,
            is_port_shared=worker.directory is not None,
            on_listening=lambda host, port: log.info("listening", url=f"http://{host}:{port}", space=settings.space),
            beside=_health(settings, app.health, keys=parts.keys),
        )
    log.info("stopped")
    if refusals:
        raise refusals[0]


def _health(settings: CollectorSettings, health: Health, *, keys: KeyRing) -> Beside | None:
    """Metrics and health on a port of their own; None where nobody asks for one."""
    from funnelcast.readers import ReadersOnly
    from funnelcast.structlog_alone import structlog
    from producers.http.server import Beside

    if settings.health_port is None:
        return None
    log = structlog.get_logger("funnelcast.collector")
    return Beside(
        ReadersOnly(health, keys) if settings.require_read_key else health,
        settings.health_host,
        settings.health_port,
        lambda host, port: log.info("health_listening", url=f"http://{host}:{port}"),
    )


def _application(
    settings: CollectorSettings, parts: _Parts, *, worker: CollectorProcess, sink: KafkaSink | SpoolSink
) -> Collector:
    from producers.collector.app import Collector
    from producers.collector.routes import all_routes
    from producers.collector.spool_metrics import show_spool
    from producers.dead_letters.limit import DeadLetterLimit
    from producers.http.address import TrustedProxies
    from producers.spool.sink import SpoolSink

    app = Collector(
        sink=sink,
        ingest=parts.ingest,
        keys=parts.keys,
        topics=settings.topics,
        routes=all_routes(parts.ingest, parts.webhooks),
        admission=_admission(settings),
        dead_letter_limit=DeadLetterLimit(settings.dead_letter_limit).shared_by(worker.count),
        proxies=TrustedProxies(settings.trusted_proxies) if settings.trusted_proxies else None,
        visitors=_visitors(settings),
    )
    show_spool(app.metrics, sink if isinstance(sink, SpoolSink) else None)
    return app


def _visitors(settings: CollectorSettings) -> VisitorRules:
    from producers.http.address import Networks
    from producers.visitors.visitor import VisitorRules

    return VisitorRules(
        staff_addresses=Networks(settings.staff_addresses),
        staff_cookie=settings.staff_cookie,
        country_header=settings.country_header.lower().encode(),
    )


def _admission(settings: CollectorSettings) -> Admission:
    from producers.collector.admission import Admission
    from producers.collector.ratelimit import RateLimits

    limits = RateLimits(address=settings.rate_limit_address or None, key=settings.rate_limit_key or None)
    return Admission(limits.shared_by(settings.workers))


def _peers(worker: CollectorProcess, *, app: Collector, sink: Sink) -> AbstractAsyncContextManager[object]:
    """The other processes of this collector; none where it is alone."""
    from producers.collector.peers import Peers

    if worker.directory is None:
        return contextlib.nullcontext()
    app.health.peers = Peers(worker.directory, index=worker.index, count=worker.count, metrics=app.metrics, sink=sink)
    return app.health.peers


def _sink(
    settings: CollectorSettings, worker: CollectorProcess, *, on_refused: Callable[[KafkaRefusedError], None]
) -> KafkaSink | SpoolSink:
    """Kafka, behind a spool of this process's own. The first of several collectors also drains the spools of those
    that are no more."""
    from producers.sink.connection import SinkSettings
    from producers.sink.kafka import KafkaSink
    from producers.spool.settings import SpoolSettings, directory_of, leftovers_of
    from producers.spool.sink import SpoolSink

    topics = (settings.topics.events, settings.topics.rejected, settings.topics.hooks)
    kafka = KafkaSink(
        SinkSettings(
            bootstrap=settings.need_kafka(),
            topics=topics,
            ack_seconds=settings.ack_timeout,
            linger_ms=settings.linger_ms,
            is_idempotent=settings.idempotence,
        ),
        on_refused=on_refused,
    )
    if not settings.spool_bytes:
        return kafka
    parent = settings.state_dir / "spool" / settings.space
    spool = SpoolSettings(
        directory_of(parent, worker.index),
        settings.spool_bytes // worker.count,
        topics,
        leftovers=leftovers_of(parent, of=worker.count) if worker.index == 0 else (),
    )
    return SpoolSink(kafka, spool)
