"""`funnelcast enricher`: asks CRMs for what their hooks leave out. Composes settings, APIs, Kafka and health; decides
nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from funnelcast.commands.options import with_settings
from funnelcast.settings import SettingsError
from funnelcast.settings.processes import EnricherSettings

if TYPE_CHECKING:
    from producers.ingest.checks import Ingest
    from producers.sink.connection import SinkSettings
    from producers.sink.kafka import KafkaSink
    from producers.webhooks.config import Webhooks
    from producers.webhooks.enricher_metrics import EnricherMetrics
    from producers.webhooks.hook_consumer import HookConsumer
    from streams.web.server import WebServer

app = typer.Typer(add_completion=False)


@app.command(epilog="Example:  funnelcast enricher --kafka 127.0.0.1:9092 --webhooks webhooks.yaml --health-port 9103")
@with_settings(EnricherSettings)
def enricher(settings: EnricherSettings) -> None:
    """Make events of the hooks that only name a deal. Run as many as there are partitions. SIGTERM drains, exits 0."""
    from funnelcast.logs import configure_logs
    from funnelcast.settings.show import log_settings

    settings.need_kafka()
    webhooks, ingest = _webhooks(settings), build_ingest(settings)
    configure_logs()
    log_settings(settings)
    asyncio.run(_run(settings, webhooks=webhooks, ingest=ingest))


def build_ingest(settings: EnricherSettings) -> Ingest:
    """The checks of the collector: an event of a hook may be as large as any other."""
    from funnelcast.ingest import ingest_of
    from producers.ingest.limits import Limits

    return ingest_of(settings, Limits(event_bytes=settings.max_event_bytes))


def _webhooks(settings: EnricherSettings) -> Webhooks:
    import os

    from producers.webhooks.config import load_webhooks

    if settings.webhooks is None:
        raise SettingsError("no webhooks: give --webhooks or set FUNNELCAST_WEBHOOKS to a file (docs/webhooks.md)")
    return load_webhooks(settings.webhooks, os.environ)


async def _run(settings: EnricherSettings, *, webhooks: Webhooks, ingest: Ingest) -> None:
    from funnelcast.signals import stop_event
    from funnelcast.structlog_alone import structlog
    from producers.sink.kafka import KafkaSink
    from producers.webhooks.crms import crms_of
    from producers.webhooks.enricher import Enricher
    from producers.webhooks.enricher_metrics import EnricherMetrics
    from producers.webhooks.hook_consumer import HookConsumer

    log, topics, metrics = structlog.get_logger("funnelcast.enricher"), settings.topics, EnricherMetrics()
    stop = stop_event()
    crms = crms_of(webhooks, metrics)
    async with KafkaSink(_sink_settings(settings)) as sink:
        work = Enricher(webhooks=webhooks, ingest=ingest, crms=crms, sink=sink, topics=topics, metrics=metrics)
        consumer = HookConsumer(
            kafka=settings.need_kafka(),
            topic=topics.hooks,
            group=topics.enricher_group,
            work_on=work.work_on,
            window=settings.window,
            started=metrics.under_way.set,
        )
        server = _health(settings, sink=sink, consumer=consumer, metrics=metrics)
        if settings.health_port is not None:
            await server.start(settings.health_port)
            log.info("listening", url=f"http://{settings.health_host}:{server.port}", space=settings.space)
        try:
            await consumer.run(stop)
        finally:
            await server.stop()
            for crm in crms.values():
                await crm.close()
    log.info("stopped")


def _sink_settings(settings: EnricherSettings) -> SinkSettings:
    from producers.sink.connection import SinkSettings

    return SinkSettings(
        bootstrap=settings.need_kafka(),
        topics=(settings.topics.events, settings.topics.rejected),
        ack_seconds=settings.ack_timeout,
        linger_ms=settings.linger_ms,
        is_idempotent=settings.idempotence,
        client_id="funnelcast-enricher",
    )


def _health(
    settings: EnricherSettings, *, sink: KafkaSink, consumer: HookConsumer, metrics: EnricherMetrics
) -> WebServer:
    from streams.web.app import EXPOSITION, Readiness, web_app
    from streams.web.server import WebServer

    async def ready() -> Readiness:
        reason = sink.trouble or ("" if consumer.is_reading else "the topic of hooks is not being read yet")
        return Readiness(not reason, reason)

    async def rendered(accept: str) -> tuple[str, bytes]:  # noqa: ARG001 - it has one form
        return EXPOSITION, metrics.render()

    return WebServer(web_app(metrics=rendered, ready=ready), host=settings.health_host)
