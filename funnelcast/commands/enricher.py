"""`funnelcast enricher`: asks CRMs what their hooks do not say. Composes settings, APIs, Kafka and health; decides
nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from funnelcast.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from producers.ingest.checks import Ingest
    from producers.webhooks.config import Webhooks

app = typer.Typer(add_completion=False)


@app.command(epilog="Example:  funnelcast enricher --kafka 127.0.0.1:9092 --webhooks webhooks.yaml --health-port 9103")
def enricher(
    kafka: Annotated[str | None, typer.Option(help="host:port[,host:port] of the brokers.")] = None,
    space: Annotated[str | None, typer.Option(help="Prefix of topics and Redis keys.")] = None,
    funnels: Annotated[str | None, typer.Option(help="Preset names or files, as the collector has them.")] = None,
    webhooks: Annotated[Path | None, typer.Option(help="File of webhooks (docs/webhooks.md).")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="Directory for local files: the contact key.")] = None,
    health_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve /healthz, /readyz and /metrics here.")
    ] = None,
    health_host: Annotated[str, typer.Option(help="Address to serve them on.")] = "127.0.0.1",
    window: Annotated[int, typer.Option(min=1, help="Hooks that are worked on at once.")] = 256,
    keep_contacts: Annotated[bool, typer.Option(help="As the collector has it.")] = False,
    phone_region: Annotated[str | None, typer.Option(help="As the collector has it.")] = None,
    ip: Annotated[Literal["drop", "truncate", "keep"] | None, typer.Option(help="As the collector has it.")] = None,
    deny_properties: Annotated[str | None, typer.Option(help="As the collector has it.")] = None,
    allow_properties: Annotated[str | None, typer.Option(help="As the collector has it.")] = None,
) -> None:
    """Make events of the hooks that only name a deal. Run as many as there are partitions. SIGTERM drains, exits 0."""
    from funnelcast.commands.collector import build_ingest
    from funnelcast.logs import configure_logs

    settings = load_settings(
        kafka=kafka,
        space=space,
        funnels=funnels,
        webhooks=webhooks,
        state_dir=state_dir,
        ip=ip,
        deny_properties=deny_properties,
        allow_properties=allow_properties,
    )
    settings.need_kafka()
    hooks = _webhooks(settings)
    configure_logs()
    ingest = build_ingest(settings, {}, phone_region, {"keep_contacts": keep_contacts})
    asyncio.run(_run(settings, hooks, ingest, window=window, health=(health_host, health_port)))


def _webhooks(settings: Settings) -> Webhooks:
    import os

    from producers.webhooks.config import load_webhooks

    if settings.webhooks is None:
        raise SettingsError("no webhooks: give --webhooks or set FUNNELCAST_WEBHOOKS to a file (docs/webhooks.md)")
    return load_webhooks(settings.webhooks, os.environ)


async def _run(
    settings: Settings, webhooks: Webhooks, ingest: Ingest, *, window: int, health: tuple[str, int | None]
) -> None:
    import structlog

    from funnelcast.signals import stop_event
    from producers.sink.connection import SinkSettings
    from producers.sink.kafka import KafkaSink
    from producers.webhooks.crms import crms_of
    from producers.webhooks.enricher import Enricher
    from producers.webhooks.enricher_metrics import EnricherMetrics
    from producers.webhooks.hook_consumer import HookConsumer
    from schemas.topics import Topics
    from streams.web.app import EXPOSITION, Readiness, web_app
    from streams.web.server import WebServer

    log, topics, metrics = structlog.get_logger("funnelcast.enricher"), Topics(settings.space), EnricherMetrics()
    stop = stop_event()
    crms = crms_of(webhooks, metrics)
    sink_settings = SinkSettings(
        bootstrap=settings.need_kafka(), topics=(topics.events, topics.rejected), client_id="funnelcast-enricher"
    )
    async with KafkaSink(sink_settings) as sink:
        work = Enricher(webhooks=webhooks, ingest=ingest, crms=crms, sink=sink, topics=topics, metrics=metrics)
        consumer = HookConsumer(
            kafka=settings.need_kafka(),
            topic=topics.hooks,
            group=topics.enricher_group,
            work_on=work.work_on,
            window=window,
            started=metrics.under_way.set,
        )

        async def ready() -> Readiness:
            reason = sink.trouble or ("" if consumer.is_reading else "the topic of hooks is not being read yet")
            return Readiness(not reason, reason)

        async def rendered(accept: str) -> tuple[str, bytes]:
            return EXPOSITION, metrics.render()

        server = WebServer(web_app(metrics=rendered, ready=ready), host=health[0])
        if health[1] is not None:
            await server.start(health[1])
            log.info("listening", url=f"http://{health[0]}:{server.port}", space=settings.space)
        try:
            await consumer.run(stop)
        finally:
            await server.stop()
            for crm in crms.values():
                await crm.close()
    log.info("stopped")
