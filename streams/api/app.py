"""The reports API as an ASGI application on the kit of `streams.web`: pages, errors, its own metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from streams.api.answers import Answers, UnknownFunnelError
from streams.api.description import CSV, OPENAPI, PAGES, description_json
from streams.api.live import LIVE, LiveStreams
from streams.api.parameters import ParameterError
from streams.defaults import TIME_BOX_SECONDS
from streams.report.document.question import QuestionError
from streams.store.port import StoreError, StoreRefusedError, StoreUnavailableError
from streams.web.app import Readiness, Receive, Send, web_app
from streams.web.pages import JSON, Page, PageAnswer, PageRequest, error_page, revalidated

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
log = structlog.get_logger("funnelcast.api")


class ApiMetrics:
    """One per process, with a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.answers = Counter(
            "funnelcast_web_answers",
            "Answers of the reports API, by page and status.",
            ["page", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "funnelcast_web_answer_seconds",
            "How long they took.",
            ["page"],
            buckets=_SECONDS,
            registry=self.registry,
        )


class ApiApp:
    """One per process."""

    def __init__(self, answers: Answers, *, version: str, more: Mapping[str, Page] = MappingProxyType({})) -> None:
        """`more`: pages beside the API's own, by path."""
        self._answers = answers
        self.metrics = ApiMetrics()
        pages = {path: self._page(path, self._answer_of(path)) for path in PAGES}
        self.live = LiveStreams(dict(pages), answers.pulse)
        description = description_json(version)

        async def described(_query: str) -> bytes:
            return description

        pages[OPENAPI] = self._page(OPENAPI, described)
        pages[LIVE] = self.live.page
        self._pages = web_app(metrics=self.metrics_page, ready=self.readiness, pages={**pages, **more})

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._pages(scope, receive, send)

    async def metrics_page(self, accept: str) -> tuple[str, bytes]:
        """(content type, body) of /metrics."""
        encoder, kind = choose_encoder(accept)
        return kind, encoder(self.metrics.registry)

    async def readiness(self) -> Readiness:
        """Whether the store can be read."""
        try:
            await asyncio.wait_for(self._answers.reader.partitions(), TIME_BOX_SECONDS)
        except (StoreError, TimeoutError):
            return Readiness(False, "Redis cannot be read")
        return Readiness(True)

    def _answer_of(self, path: str) -> Callable[[str], Awaitable[bytes]]:
        answers = self._answers
        return {
            "/v1/funnels": answers.list_funnels,
            "/v1/names": answers.names_json,
            "/v1/reports": answers.report_json,
            "/v1/summaries": answers.summary_json,
            "/v1/comparisons": answers.comparison_json,
            "/v1/what-if": answers.what_if_json,
            "/v1/paths": answers.paths_json,
            "/v1/profit": answers.profit_json,
            "/v1/scores": answers.scores_json,
            "/v1/targets": answers.targets_json,
            "/v1/alerts": answers.alerts_json,
            "/v1/forecasts": answers.forecast_json,
            "/v1/views": answers.view_json,
            "/v1/sla": answers.sla_json,
            "/v1/changes": answers.changes_json,
            "/v1/people": answers.person_json,
            "/v1/annotations": answers.annotations_json,
            "/v1/reports/counters.csv": answers.counters_csv,
            "/v1/reports/rates.csv": answers.rates_csv,
        }[path]

    def _page(self, path: str, body_of: Callable[[str], Awaitable[bytes]]) -> Page:
        content_type = CSV if path.endswith(".csv") else JSON

        async def page(request: PageRequest) -> PageAnswer:
            started = time.perf_counter()
            try:
                answer = revalidated(request, PageAnswer(await body_of(request.query), content_type))
            except Exception as error:  # noqa: BLE001 - those that have no answer are raised again
                answer = _refusal(error)
            self.metrics.answers.labels(path, str(answer.status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - started)
            return answer

        return page


def _refusal(error: Exception) -> PageAnswer:
    """The answer to what has none. Raises what is a fault of ours."""
    match error:
        case QuestionError():
            return error_page(400, code="bad_question", message=str(error), detail="see /v1/openapi.json")
        case ParameterError():
            return error_page(400, code="bad_parameter", message=str(error), detail="see /v1/openapi.json")
        case UnknownFunnelError():
            return error_page(404, code="unknown_funnel", message=str(error), detail="see /v1/funnels")
        case StoreUnavailableError():
            log.warning("counters_not_read", error=str(error))
            return error_page(
                503,
                code="unavailable",
                message="the counters cannot be read now; try again",
                headers={"retry-after": "1"},
            )
        case StoreRefusedError():
            log.error("counters_refused", error=str(error))
            return error_page(500, code="state_refused", message=str(error))
    raise error
