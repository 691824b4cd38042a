"""`funnelcast web`: the live page and the reports API. Composes settings, store and API; reads only."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.options import with_settings
from funnelcast.settings.processes import WebSettings

if TYPE_CHECKING:
    from streams.evidence.live import FunnelEvidence
    from streams.exporter.evidence_source import EvidenceSource

app = typer.Typer(add_completion=False)
CHECK_SECONDS = 5.0
"""How long the first question to Redis may take; it is asked so that a refused login ends the process."""


@app.command(
    epilog="Examples:  funnelcast web --redis redis://127.0.0.1:6379 --funnels sales --port 8090, then open "
    "http://127.0.0.1:8090/ or  curl '127.0.0.1:8090/v1/reports?grain=week&since=90d&dim=channel'  ·  "
    "funnelcast web --require-read-key --keys keys.json --host 0.0.0.0  ·  funnelcast web --describe > openapi.json"
)
@with_settings(WebSettings)
def web(
    settings: WebSettings,
    describe: Annotated[bool, typer.Option("--describe", help="Print the OpenAPI description and end.")] = False,
) -> None:
    """Serve the live page at /, reports as JSON and CSV below /v1, /metrics, /healthz and /readyz.

    As many as you like: each only reads.
    """
    if describe:
        from funnelcast import __version__
        from streams.api.description import description_json

        sys.stdout.buffer.write(description_json(__version__))
        sys.stdout.flush()
        return
    from funnelcast.readers import check_readers, check_reports_are_guarded

    check_readers(settings)
    check_reports_are_guarded(settings)
    asyncio.run(_run(settings))


class _EvidenceOnDemand:
    """Begins to learn what is normal when somebody asks what fires: who only asks for reports does not pay for it."""

    def __init__(self, source: EvidenceSource) -> None:
        self._source = source
        self._task: asyncio.Task[None] | None = None

    def __call__(self) -> Sequence[FunnelEvidence]:
        if self._task is None:
            self._task = asyncio.create_task(self._source.run())
        return self._source.newest

    async def stop(self) -> None:
        """Learn no more."""
        from streams.ending import end

        if self._task is not None:
            await end(self._task)


async def _run(settings: WebSettings) -> None:
    from funnelcast import __version__
    from funnelcast.logs import configure_logs
    from funnelcast.people_lookup import lookup
    from funnelcast.readers import ReadersOnly, check_store
    from funnelcast.settings.show import log_settings
    from funnelcast.signals import READER_SECONDS, end_within, stop_event
    from funnelcast.structlog_alone import structlog
    from producers.access.keys import KeyRing
    from schemas.funnel.load import load_funnels
    from streams.api.answers import Answers
    from streams.api.app import ApiApp
    from streams.exporter.evidence_source import EvidenceSource
    from streams.page.site import site_pages
    from streams.report.services.followed import FollowedFunnels
    from streams.report.services.targets import checked_targets
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader
    from streams.web.server import WebServer

    configure_logs()
    log_settings(settings)
    log = structlog.get_logger("funnelcast.api")
    funnels = FollowedFunnels(load_funnels(settings.funnels))
    client = connect(settings.need_redis())
    reader = RedisCounterReader(client, settings.space)
    targets = None if settings.targets is None else checked_targets(settings.targets, funnels)
    evidence = _EvidenceOnDemand(EvidenceSource(reader, funnels, clock_ms=wall_clock_ms, threshold=settings.threshold))
    person = lookup(client, settings.space, funnels=funnels, settings=settings) if settings.require_read_key else None
    answers = Answers(reader, funnels, wall_clock_ms, targets, evidence, person)
    app = ApiApp(answers, version=__version__, more=site_pages())
    guarded = ReadersOnly(app, KeyRing(settings.keys), has_reports=True) if settings.require_read_key else app
    server = WebServer(guarded, host=settings.host)
    stop = stop_event()
    end_within(READER_SECONDS)  # evidence is computed on threads, which nothing else can end
    try:
        await server.start(settings.port)
        log.info("listening", url=f"http://{settings.host}:{server.port}", space=settings.space)
        await check_store(reader, CHECK_SECONDS)
        async with funnels.following(reader):
            await stop.wait()
    finally:
        await evidence.stop()
        app.live.stop()
        await server.stop()
        await close(client)
    log.info("stopped")
