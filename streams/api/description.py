"""The API's own description, OpenAPI 3.1: pages, parameters, and the shapes made from their types. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from streams.api.answers import BACK_TEST, COMPARE, PERSON_ID, QUESTION, SLA, VIEW, WHAT_IF, FunnelSummary
from streams.api.persons import PersonDocument
from streams.api.schema import Schema, Schemas
from streams.evidence.now import AlertsDocument
from streams.report.document.question import GRAINS
from streams.report.document.shapes import CountersDocument
from streams.report.questions.calibration import CalibrationDocument
from streams.report.questions.changes import ChangesDocument
from streams.report.questions.comparison import ComparisonDocument
from streams.report.questions.paths import PathsDocument
from streams.report.questions.profit import ProfitDocument
from streams.report.questions.sla import SlaDocument
from streams.report.questions.spelling import NamesDocument
from streams.report.questions.targets import TargetsDocument
from streams.report.questions.views import VIEWS
from streams.report.questions.what_if import WhatIfDocument
from streams.report.services.changes import AnnotationShape
from streams.report.services.forecast import ForecastDocument
from streams.report.services.summary import SummaryDocument
from streams.report.services.views import ViewDocument
from streams.web.pages import JSON

CSV: Final = "text/csv; charset=utf-8"
OPENAPI: Final = "/v1/openapi.json"


class Error(TypedDict):
    """What went wrong."""

    code: str
    message: str
    detail: str


_TIMES: Final = "2025-01-31, RFC 3339, 24h (ago), epoch milliseconds; without an offset in the funnel's time zone."
PARAMETERS: Final[dict[str, tuple[str, Schema]]] = {
    "funnel": (
        "Name of a funnel of /v1/funnels; repeat it for several. Without it all of them. One is answered as an object, "
        "several as an array.",
        {"type": "array", "items": {"type": "string"}},
    ),
    "grain": (
        "Buckets of this grain only. Weeks (ISO 8601), months and quarters are sums of days.",
        {"enum": list(GRAINS)},
    ),
    "since": (f"Buckets that end after this time: {_TIMES}", {"type": "string"}),
    "until": (f"Buckets that begin before this time: {_TIMES}", {"type": "string"}),
    "dim": (
        "Cells of a dimension (channel), a declared pair (channel|manager), one cell (channel=google); empty: the "
        "whole.",
        {"type": "string"},
    ),
    WHAT_IF: (
        "Lifts, with commas between them: a stage's conversion relative to itself (lead=+10%) or as it shall be "
        "(lead=25%), each=+10%, top=+50%.",
        {"type": "string"},
    ),
    COMPARE: (
        "With which days: previous (as many just before; with the grain week, month or quarter the one before), "
        "last-week, or since..until.",
        {"type": "string"},
    ),
    BACK_TEST: (
        "Whether the forecast is compared with the past half year: true or false (default).",
        {"enum": ["true", "false"]},
    ),
    VIEW: ("The role.", {"enum": list(VIEWS)}),
    PERSON_ID: ("user:4711, contact:..., anonymous:..., an e-mail, or any id of the three.", {"type": "string"}),
    SLA: ("Stages and times, with commas between them: lead=4h, lead->offer=1d.", {"type": "string"}),
}
_REQUIRED: Final = (COMPARE, WHAT_IF, VIEW, SLA, PERSON_ID)
_ERRORS: Final = {
    "400": "bad_question, bad_parameter: there is no answer to this; the message says what to write instead.",
    "401": "bad_key: the read key is missing or unknown.",
    "404": "unknown_funnel: it is not served here; the message names those that are.",
    "500": "state_refused: a human has to decide; internal: a fault of the server.",
    "503": "unavailable: the counters cannot be read now; try again after Retry-After seconds.",
}


@dataclass(frozen=True, slots=True)
class Described:
    """One page."""

    operation: str
    summary: str
    parameters: tuple[str, ...] = ()
    shape: Any = None
    """Type of the answer; None: CSV."""
    is_several: bool = False
    """Whether several funnels are answered as an array of it."""


PAGES: Final[dict[str, Described]] = {
    "/v1/funnels": Described("funnels", "The funnels that can be asked for.", shape=list[FunnelSummary]),
    "/v1/names": Described(
        "names",
        "How values of dimensions and reasons were first written, where that is not the name they are compared by: "
        "what `funnelcast report --names --json` prints (docs/reports.md).",
        ("funnel",),
        NamesDocument,
        is_several=True,
    ),
    "/v1/reports": Described(
        "report",
        "Counters with their rates: what `funnelcast report --json` prints (docs/reports.md).",
        ("funnel", *QUESTION),
        CountersDocument,
        is_several=True,
    ),
    "/v1/summaries": Described(
        "summary",
        "Counters with their rates, of all time or of a span, summed: what the live page shows (docs/page.md).",
        ("funnel", *QUESTION),
        SummaryDocument,
        is_several=True,
    ),
    "/v1/comparisons": Described(
        "comparison",
        "Two spans of days compared: what `funnelcast report --compare --json` prints (docs/reports.md).",
        ("funnel", *QUESTION, COMPARE),
        ComparisonDocument,
        is_several=True,
    ),
    "/v1/what-if": Described(
        "what_if",
        "Expected entries, orders and revenue: what `funnelcast report --what-if --json` prints (docs/reports.md).",
        ("funnel", *QUESTION, WHAT_IF),
        WhatIfDocument,
        is_several=True,
    ),
    "/v1/paths": Described(
        "paths",
        "How journeys go: what `funnelcast report --paths --json` prints (docs/reports.md).",
        ("funnel", *QUESTION),
        PathsDocument,
        is_several=True,
    ),
    "/v1/profit": Described(
        "profit",
        "What is left of the money, and what customers bring: what `funnelcast report --profit --json` prints "
        "(docs/reports.md).",
        ("funnel", *QUESTION),
        ProfitDocument,
        is_several=True,
    ),
    "/v1/scores": Described(
        "scores",
        "Are the lead scores right: what `funnelcast report --scores --json` prints (docs/reports.md).",
        ("funnel", "grain", "since", "until"),
        CalibrationDocument,
        is_several=True,
    ),
    "/v1/targets": Described(
        "targets",
        "Plan against fact, of the file that the server has: what `funnelcast report --targets FILE --json` prints "
        "(docs/reports.md).",
        ("funnel",),
        TargetsDocument,
        is_several=True,
    ),
    "/v1/alerts": Described(
        "alerts",
        "What fires now, with its evidence: as the rules of Prometheus have it (docs/alerts.md).",
        ("funnel",),
        AlertsDocument,
        is_several=True,
    ),
    "/v1/forecasts": Described(
        "forecast",
        "Revenue to expect from journeys under way: what `funnelcast report --forecast --json` prints "
        "(docs/reports.md).",
        ("funnel", "dim", BACK_TEST),
        ForecastDocument,
        is_several=True,
    ),
    "/v1/views": Described(
        "view",
        "What a role looks at first: what `funnelcast report --view --json` prints (docs/reports.md).",
        ("funnel", "since", "until", VIEW),
        ViewDocument,
        is_several=True,
    ),
    "/v1/sla": Described(
        "sla",
        "Whether agreed times were kept: what `funnelcast report --sla --json` prints (docs/reports.md).",
        ("funnel", "since", "until", "dim", SLA),
        SlaDocument,
        is_several=True,
    ),
    "/v1/changes": Described(
        "changes",
        "What is different since each annotation: what `funnelcast report --changes --json` prints (docs/reports.md).",
        ("funnel", "since", "until", "dim"),
        ChangesDocument,
        is_several=True,
    ),
    "/v1/people": Described(
        "person",
        "One person's ids and journeys: what `funnelcast person ID --json` prints (docs/journeys.md).",
        (PERSON_ID,),
        PersonDocument,
    ),
    "/v1/annotations": Described(
        "annotations", "What people have said with `funnelcast annotate`, oldest first.", shape=list[AnnotationShape]
    ),
    "/v1/reports/counters.csv": Described(
        "counters_csv", "The counters of a report, a line for each number (RFC 4180).", ("funnel", *QUESTION)
    ),
    "/v1/reports/rates.csv": Described(
        "rates_csv", "The rates of a report, a line for each (RFC 4180).", ("funnel", *QUESTION)
    ),
}


def describe(version: str) -> dict[str, Any]:
    """The document."""
    schemas = Schemas()
    paths = {path: {"get": _operation(page, schemas)} for path, page in PAGES.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "funnelcast reports",
            "version": version,
            "description": "Counters of funnels and their rates. Amounts of money are integers in minor units. Every "
            "answer has an ETag: send it as If-None-Match, and what has not changed is answered 304.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"header": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key of the scope read."},
                "header": {"type": "apiKey", "in": "header", "name": "X-Read-Key"},
                "basic": {"type": "http", "scheme": "basic", "description": "The key as user or password."},
            },
        },
    }


def description_json(version: str) -> bytes:
    """As it is served and as docs/openapi.json holds it."""
    return (json.dumps(describe(version), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _operation(page: Described, schemas: Schemas) -> dict[str, Any]:
    error = {JSON: {"schema": schemas.of(Error)}}
    return {
        "operationId": page.operation,
        "summary": page.summary,
        "parameters": [_parameter(name) for name in page.parameters],
        "responses": {
            "200": {
                "description": page.summary,
                "headers": {
                    "ETag": {"description": "Weak.", "schema": {"type": "string"}},
                    "Cache-Control": {"schema": {"const": "private, no-cache"}},
                },
                "content": _content(page, schemas),
            },
            "304": {"description": "Nothing has changed since the ETag in If-None-Match."},
            **{status: {"description": text, "content": error} for status, text in _ERRORS.items()},
        },
    }


def _content(page: Described, schemas: Schemas) -> dict[str, Any]:
    if page.shape is None:
        return {"text/csv": {"schema": {"type": "string"}}}
    schema = schemas.of(page.shape)
    if page.is_several:
        schema = {"anyOf": [schema, {"type": "array", "items": schema}]}
    return {JSON: {"schema": schema}}


def _parameter(name: str) -> dict[str, Any]:
    text, schema = PARAMETERS[name]
    return {"name": name, "in": "query", "required": name in _REQUIRED, "description": text, "schema": schema}
