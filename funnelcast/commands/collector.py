"""`funnelcast collector`: the HTTP side. Composes settings, keys, checks and the Kafka sink; decides nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from funnelcast.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from funnelcast.processes.workers import Worker
    from producers.access.keys import KeyRing
    from producers.collector.app import Collector
    from producers.collector.gate import Gate
    from producers.http.address import TrustedProxies
    from producers.ingest.checks import Ingest
    from producers.ingest.privacy import Privacy
    from producers.sink.kafka import KafkaSink
    from producers.sink.port import Sink
    from producers.spool.sink import SpoolSink
    from producers.webhooks.config import Webhooks
    from schemas.funnel.model import Funnel
    from schemas.topics import Topics

app = typer.Typer(add_completion=False)
_SPOOL_SECONDS = 5
"""A request that Kafka does not acknowledge in time still goes to disk: so much longer a stop waits."""


@app.command(
    epilog="Examples:  funnelcast collector --port 8080 --open --kafka 127.0.0.1:9092  ·  "
    "FUNNELCAST_KEYS=keys.json funnelcast collector --port 8080 --host 0.0.0.0"
)
def collector(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    kafka: Annotated[str | None, typer.Option(help="host:port[,host:port] of the brokers.")] = None,
    space: Annotated[str | None, typer.Option(help="Prefix of topics and Redis keys.")] = None,
    funnels: Annotated[str | None, typer.Option(help="Preset names or files: which event names are known.")] = None,
    keys: Annotated[Path | None, typer.Option(help="File of hashed write keys (`funnelcast keys create`).")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="Directory for local files.")] = None,
    is_open: Annotated[
        bool, typer.Option("--open", help="Take events without a key, as source `default`; loopback only.")
    ] = False,
    webhooks: Annotated[Path | None, typer.Option(help="File of webhooks (docs/webhooks.md).")] = None,
    strict_names: Annotated[bool, typer.Option(help="Reject events that no funnel looks at.")] = False,
    keep_contacts: Annotated[bool, typer.Option(help="Leave e-mails and phones in the properties.")] = False,
    phone_region: Annotated[
        str | None, typer.Option(help="Country of phone numbers without a country code, e.g. GR.")
    ] = None,
    max_body_bytes: Annotated[int, typer.Option(help="Largest request, compressed and in clear.")] = 1_048_576,
    max_event_bytes: Annotated[
        int, typer.Option(min=1, max=524_288, help="Largest event; Kafka takes 1 MiB.")
    ] = 32_768,
    max_events: Annotated[int, typer.Option(help="Most events of one request.")] = 2_000,
    ack_timeout: Annotated[float, typer.Option(help="Seconds to wait for Kafka before 503.")] = 10.0,
    linger_ms: Annotated[float, typer.Option(help="Least time between two sends to Kafka.")] = 5.0,
    idempotence: Annotated[bool, typer.Option(help="Idempotent producer: retries write nothing twice.")] = True,
    browser_events: Annotated[
        str | None,
        typer.Option(help="Orders, refunds or ad spend that every browser's key may send, e.g. order_completed."),
    ] = None,
    ip: Annotated[
        Literal["drop", "truncate", "keep"] | None,
        typer.Option(help="What becomes of addresses of clients in events. [truncate: /24 and /48]"),
    ] = None,
    deny_properties: Annotated[
        str | None, typer.Option(help="Properties and traits to leave out, separated by commas.")
    ] = None,
    allow_properties: Annotated[
        str | None, typer.Option(help="The only properties and traits to keep, besides those that the funnels read.")
    ] = None,
    rate_limit_address: Annotated[
        float, typer.Option(min=0, help="Requests a second of one address with browsers' keys; 0: no limit.")
    ] = 200.0,
    rate_limit_key: Annotated[
        float, typer.Option(min=0, help="Events a second of a key that states no rate of its own; 0: no limit.")
    ] = 0.0,
    require_read_key: Annotated[bool, typer.Option(help="/metrics only with a key of the scope read.")] = False,
    spool_bytes: Annotated[
        int | None,
        typer.Option(min=0, help="Most bytes that wait on disk while Kafka is away; 0: answer 503 instead. [1 GiB]"),
    ] = None,
    dead_letter_limit: Annotated[
        int, typer.Option(min=0, help="Dead letters of one source in a minute before it is answered 503; 0: no limit.")
    ] = 10_000,
    trusted_proxies: Annotated[
        str | None,
        typer.Option(help="Networks whose X-Forwarded-For is believed, separated by commas, e.g. 10.0.0.0/8."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that share the port.")] = 1,
    worker_index: Annotated[int | None, typer.Option(hidden=True)] = None,
    worker_directory: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Take events over HTTP and answer when Kafka has acknowledged them. SIGTERM drains and exits 0."""
    from funnelcast.readers import check_readers

    settings = load_settings(
        kafka=kafka,
        space=space,
        funnels=funnels,
        keys=keys,
        state_dir=state_dir,
        webhooks=webhooks,
        spool_bytes=spool_bytes,
        ip=ip,
        deny_properties=deny_properties,
        allow_properties=allow_properties,
        browser_events=browser_events,
    )
    options = {
        "is_idempotent": idempotence,
        "ack_seconds": ack_timeout,
        "linger_ms": linger_ms,
        "bootstrap": settings.need_kafka(),
    }
    limits = {"body_bytes": max_body_bytes, "event_bytes": max_event_bytes, "events": max_events}
    checks = {"strict_names": strict_names, "keep_contacts": keep_contacts}
    check_readers(settings, require_read_key)
    ring = _key_ring(settings, is_open, host)
    ingest = build_ingest(settings, limits, phone_region, checks)
    gate = _gate(rate_limit_address, rate_limit_key, workers)
    proxies = _proxies(trusted_proxies)
    hooks = None if settings.webhooks is None else _webhooks(settings.webhooks)
    import uvloop

    from funnelcast.processes.workers import Worker, run_workers

    if workers > 1 and worker_index is None:
        asyncio.run(run_workers(workers, sys.argv[1:], host=host, port=port))
        return
    uvloop.run(
        _run(
            settings,
            options,
            ring,
            ingest,
            hooks,
            gate,
            host=host,
            port=port,
            require_read_key=require_read_key,
            dead_letter_limit=dead_letter_limit,
            proxies=proxies,
            worker=Worker() if worker_index is None else Worker(worker_index, workers, worker_directory),
        )
    )


def _webhooks(path: Path) -> Webhooks:
    import os

    from producers.webhooks.config import load_webhooks

    return load_webhooks(path, os.environ)


def _key_ring(settings: Settings, is_open: bool, host: str) -> KeyRing:
    from producers.access.keys import KeyRing, read_keys
    from producers.ingest.verdicts import Sender

    if is_open and not _is_loopback(host):
        raise SettingsError("--open takes events from anyone, so it listens on loopback only; leave --host away")
    if settings.keys is None and not is_open:
        raise SettingsError(
            "no write keys: set FUNNELCAST_KEYS (or --keys) to a file of `funnelcast keys create`, "
            "or give --open to take events from this machine without a key"
        )
    if settings.keys is not None and not is_open and not any(one.may_send for one in read_keys(settings.keys)):
        raise SettingsError(f"{settings.keys} holds no write key; make one: funnelcast keys create --source web")
    return KeyRing(settings.keys, open_sender=Sender() if is_open else None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def build_ingest(
    settings: Settings, limits: dict[str, int], phone_region: str | None, checks: dict[str, Any]
) -> Ingest:
    """The checks of this installation: collector and enricher hold events to the same ones."""
    from funnelcast import intake
    from funnelcast.contacts import made_contact_key
    from producers.ingest.checks import Ingest
    from producers.ingest.contacts import Contacts
    from producers.ingest.limits import Limits
    from schemas.funnel.load import load_funnels

    funnels = load_funnels(settings.funnel_references)
    return Ingest(
        limits=Limits(**limits),
        contacts=Contacts(made_contact_key(settings), phone_region=phone_region),
        known_names=intake.known_names(funnels),
        personless_names=intake.personless_names(funnels),
        server_names=intake.server_names(funnels, _listed(settings.browser_events)),
        privacy=_privacy(settings, funnels),
        **checks,
    )


def _privacy(settings: Settings, funnels: list[Funnel]) -> Privacy:
    from funnelcast.intake import read_properties
    from producers.ingest.privacy import IpRule, Privacy

    allowed = settings.allow_properties
    kept = None if allowed is None else {*_listed(allowed), *read_properties(funnels)}
    return Privacy(ip=IpRule(settings.ip), deny=_listed(settings.deny_properties), allow=kept)


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _proxies(networks: str | None) -> TrustedProxies | None:
    from producers.http.address import TrustedProxies

    if not networks:
        return None
    try:
        return TrustedProxies(networks.split(","))
    except ValueError as error:
        raise SettingsError(f"--trusted-proxies: {error}; write networks such as 10.0.0.0/8,192.0.2.7") from None


def _gate(per_address: float, per_key: float, processes: int = 1) -> Gate:
    from producers.collector.gate import Gate
    from producers.collector.ratelimit import RateLimits

    return Gate(RateLimits(address=per_address or None, key=per_key or None).shared_by(processes))


async def _run(
    settings: Settings,
    options: dict[str, Any],
    ring: KeyRing,
    ingest: Ingest,
    hooks: Webhooks | None,
    gate: Gate,
    *,
    host: str,
    port: int,
    require_read_key: bool,
    dead_letter_limit: int,
    proxies: TrustedProxies | None,
    worker: Worker,
) -> None:
    import structlog

    from funnelcast.logs import configure_logs
    from funnelcast.readers import ReadersOnly
    from funnelcast.signals import stop_event
    from producers.collector.app import Collector
    from producers.collector.routes import all_routes
    from producers.collector.spool_metrics import show_spool
    from producers.dead_letters.limit import LetterLimit
    from producers.http.server import serve
    from producers.spool.sink import SpoolSink
    from schemas.topics import Topics

    configure_logs()
    log = structlog.get_logger("funnelcast.collector")
    topics = Topics(settings.space)
    sink = _sink(settings, topics, options, index=worker.index, of=worker.count)
    app = Collector(
        sink=sink,
        ingest=ingest,
        keys=ring,
        topics=topics,
        routes=all_routes(ingest, hooks),
        gate=gate,
        letter_limit=LetterLimit(dead_letter_limit).shared_by(worker.count),
        proxies=proxies,
    )
    show_spool(app.metrics, sink if isinstance(sink, SpoolSink) else None)
    async with _peers(worker, app, sink):
        await serve(
            ReadersOnly(app, ring) if require_read_key else app,
            sink,
            host=host,
            port=port,
            stop=stop_event(),
            drain_seconds=int(options["ack_seconds"]) + _SPOOL_SECONDS,
            is_port_shared=worker.directory is not None,
            on_listening=lambda at, number: log.info("listening", url=f"http://{at}:{number}", space=settings.space),
        )
    log.info("stopped")


def _peers(worker: Worker, app: Collector, sink: Sink) -> AbstractAsyncContextManager[object]:
    """The other processes of this collector; nobody where it is alone."""
    from producers.collector.peers import Peers

    if worker.directory is None:
        return contextlib.nullcontext()
    app.peers = Peers(worker.directory, index=worker.index, count=worker.count, metrics=app.metrics, sink=sink)
    return app.peers


def _sink(
    settings: Settings, topics: Topics, options: dict[str, Any], *, index: int = 0, of: int = 1
) -> KafkaSink | SpoolSink:
    """Kafka, behind a spool of this process's own. `of`: how many collectors share the directory; the first of them
    also drains what those left that are no more."""
    from producers.sink.connection import SinkSettings
    from producers.sink.kafka import KafkaSink
    from producers.spool.settings import SpoolSettings, directory_of, leftovers_of
    from producers.spool.sink import SpoolSink

    written = (topics.events, topics.rejected, topics.hooks)
    kafka = KafkaSink(SinkSettings(topics=written, **options))
    if not settings.spool_bytes:
        return kafka
    parent = settings.state_dir / "spool" / settings.space
    spool = SpoolSettings(
        directory_of(parent, index),
        settings.spool_bytes // of,
        written,
        leftovers=leftovers_of(parent, of=of) if index == 0 else (),
    )
    return SpoolSink(kafka, spool)
