"""What each page of the API answers: the question is parsed and answered as `funnelcast report` does it. Knows no HTTP
but the values of its pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from schemas.funnel.model import Funnel
from schemas.money import minor_digits
from streams.api.parameters import ParameterError, parse_query
from streams.evidence.live import FunnelEvidence
from streams.evidence.now import alerts_now, no_alerts
from streams.report.document.counters import answer_json, canonical_json
from streams.report.document.question import QuestionError, QuestionTexts, ReportQuestion
from streams.report.document.rates import last_of_overall
from streams.report.document.shapes import CountersDocument
from streams.report.document.text import TextMemory
from streams.report.questions.long_form import LONG_FORMS
from streams.report.questions.sla import Sla
from streams.report.questions.spelling import report_names
from streams.report.questions.targets_file import Targets
from streams.report.questions.what_if import Lifts
from streams.report.services.changes import annotation_shapes, report_changes
from streams.report.services.forecast import report_forecast
from streams.report.services.pulse import Pulse, pulse_of
from streams.report.services.report import (
    report,
    report_calibration,
    report_compared,
    report_paths,
    report_profit,
    report_text,
    report_what_if,
)
from streams.report.services.sla import report_sla
from streams.report.services.summary import report_summary
from streams.report.services.targets import report_targets
from streams.report.services.views import parse_view, report_view
from streams.store.port import CounterReader

QUESTION: tuple[str, ...] = ("grain", "since", "until", "dim")
"""Parameters of a question, as `QuestionTexts` has them."""
WHAT_IF = "what_if"
COMPARE = "compare"
BACK_TEST = "back_test"
VIEW = "view"
SLA = "sla"
PERSON_ID = "id"
Values = Mapping[str, list[str]]


class UnknownFunnelError(Exception):
    """A funnel that the server does not have; the text names those it has."""


class FunnelSummary(TypedDict):
    """A funnel that can be asked for."""

    name: str
    version: int
    timezone: str
    currency: str
    currency_digits: int
    """Decimals of an amount in minor units."""
    stages: list[str]
    overall_stage: str
    """At which the overall conversion ends."""
    dimensions: list[str]
    pairs: list[str]
    """As the parameter dim takes them."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers from one store about some funnels."""

    reader: CounterReader
    funnels: Sequence[Funnel]
    clock_ms: Callable[[], int]
    targets: Targets | None = None
    evidence: Callable[[], Sequence[FunnelEvidence]] = tuple
    """The newest evidence of the funnels that have any."""
    person: Callable[[str], Awaitable[Mapping[str, Any]]] | None = None
    """What is shown of the person of an id; raises ParameterError. None: this server shows no persons."""
    texts: TextMemory = field(default_factory=TextMemory)

    async def list_funnels(self, query: str) -> bytes:
        """The funnels."""
        parse_query(query, single=())
        return canonical_json([summary_of(funnel) for funnel in self.funnels])

    async def names_json(self, query: str) -> bytes:
        """How names are written."""
        values = parse_query(query, single=(), repeated=("funnel",))
        return answer_json([await report_names(self.reader, funnel) for funnel in self._chosen(values)])

    async def report_json(self, query: str) -> bytes:
        """One document, or a list of them."""
        values = parse_query(query, single=QUESTION, repeated=("funnel",))
        return await report_text(self.reader, self._questions(values), memory=self.texts)

    async def summary_json(self, query: str) -> bytes:
        """Totals, or a span summed, with rates."""
        values = parse_query(query, single=QUESTION, repeated=("funnel",))
        return answer_json([await report_summary(self.reader, question) for question in self._questions(values)])

    async def pulse(self) -> Pulse:
        """How fresh the numbers are. Raises StoreError."""
        return await pulse_of(self.reader, self.funnels, now_ms=self.clock_ms())

    async def counters_csv(self, query: str) -> bytes:
        """The counters in long form."""
        return LONG_FORMS["counters"](await self._documents(query))

    async def rates_csv(self, query: str) -> bytes:
        """The rates in long form."""
        return LONG_FORMS["rates"](await self._documents(query))

    async def what_if_json(self, query: str) -> bytes:
        """What would be counted if stages converted better, or more people came."""
        values = parse_query(query, single=(*QUESTION, WHAT_IF), repeated=("funnel",))
        text = _needed(values, WHAT_IF)
        asked = [(question, Lifts.parse(question.funnel, text)) for question in self._questions(values)]
        return answer_json([await report_what_if(self.reader, question, lifts=lifts) for question, lifts in asked])

    async def comparison_json(self, query: str) -> bytes:
        """Two spans compared."""
        values = parse_query(query, single=(*QUESTION, COMPARE), repeated=("funnel",))
        text, now_ms = _needed(values, COMPARE), self.clock_ms()
        questions = self._questions(values)
        return answer_json(
            [await report_compared(self.reader, question, text=text, now_ms=now_ms) for question in questions]
        )

    async def paths_json(self, query: str) -> bytes:
        """How journeys go."""
        values = parse_query(query, single=QUESTION, repeated=("funnel",))
        return answer_json([await report_paths(self.reader, question) for question in self._questions(values)])

    async def profit_json(self, query: str) -> bytes:
        """What is left of the money."""
        values = parse_query(query, single=QUESTION, repeated=("funnel",))
        return answer_json([await report_profit(self.reader, question) for question in self._questions(values)])

    async def scores_json(self, query: str) -> bytes:
        """The share won by temperature."""
        values = parse_query(query, single=("grain", "since", "until"), repeated=("funnel",))
        return answer_json([await report_calibration(self.reader, question) for question in self._questions(values)])

    async def targets_json(self, query: str) -> bytes:
        """Plan against fact."""
        values = parse_query(query, single=(), repeated=("funnel",))
        if (targets := self.targets) is None:
            raise QuestionError("this server has no targets; start it with --targets FILE")
        now_ms = self.clock_ms()
        return answer_json(
            [
                await report_targets(self.reader, funnel, targets=targets, now_ms=now_ms)
                for funnel in self._chosen(values)
            ]
        )

    async def alerts_json(self, query: str) -> bytes:
        """What fires now."""
        values = parse_query(query, single=(), repeated=("funnel",))
        by_funnel = {found.funnel.name: alerts_now(found) for found in self.evidence()}
        return answer_json([by_funnel.get(funnel.name) or no_alerts(funnel) for funnel in self._chosen(values)])

    async def forecast_json(self, query: str) -> bytes:
        """What is still to come of journeys under way."""
        values = parse_query(query, single=("dim", BACK_TEST), repeated=("funnel",))
        with_back_test, now_ms = _is_true(values, BACK_TEST), self.clock_ms()
        return answer_json(
            [
                await report_forecast(self.reader, question, with_back_test=with_back_test, now_ms=now_ms)
                for question in self._questions(values)
            ]
        )

    async def changes_json(self, query: str) -> bytes:
        """What is different since each annotation."""
        values, now_ms = parse_query(query, single=("since", "until", "dim"), repeated=("funnel",)), self.clock_ms()
        return answer_json(
            [await report_changes(self.reader, question, now_ms=now_ms) for question in self._questions(values)]
        )

    async def view_json(self, query: str) -> bytes:
        """What a role looks at first."""
        values = parse_query(query, single=("since", "until", VIEW), repeated=("funnel",))
        view, now_ms = parse_view(_needed(values, VIEW)), self.clock_ms()
        return answer_json(
            [await report_view(self.reader, question, view=view, now_ms=now_ms) for question in self._questions(values)]
        )

    async def sla_json(self, query: str) -> bytes:
        """Whether agreed times were kept."""
        values = parse_query(query, single=("since", "until", "dim", SLA), repeated=("funnel",))
        text, now_ms = _needed(values, SLA), self.clock_ms()
        asked = [(question, Sla.parse_all(question.funnel, text)) for question in self._questions(values)]
        return answer_json(
            [await report_sla(self.reader, question, slas=slas, now_ms=now_ms) for question, slas in asked]
        )

    async def person_json(self, query: str) -> bytes:
        """One person's journeys."""
        values = parse_query(query, single=(PERSON_ID,))
        if self.person is None:
            raise ParameterError(
                "people are shown to readers with a key alone: start the server with --require-read-key"
            )
        return canonical_json(await self.person(_needed(values, PERSON_ID)))

    async def annotations_json(self, query: str) -> bytes:
        """What people have said, oldest first."""
        parse_query(query, single=())
        return canonical_json(annotation_shapes(await self.reader.annotations()))

    async def _documents(self, query: str) -> list[CountersDocument]:
        values = parse_query(query, single=QUESTION, repeated=("funnel",))
        return [await report(self.reader, question) for question in self._questions(values)]

    def _questions(self, values: Values) -> list[ReportQuestion]:
        now_ms = self.clock_ms()
        return [ReportQuestion.parse(funnel, question_texts(values), now_ms=now_ms) for funnel in self._chosen(values)]

    def _chosen(self, values: Values) -> list[Funnel]:
        """Those asked for by name, else all. Raises UnknownFunnelError."""
        by_name = {funnel.name: funnel for funnel in self.funnels}
        names = values.get("funnel", list(by_name))
        if unknown := [name for name in names if name not in by_name]:
            raise UnknownFunnelError(f"there is no funnel {unknown[0]!r} here; there are: {', '.join(by_name)}")
        return [by_name[name] for name in names]


def _needed(values: Values, name: str) -> str:
    if name not in values:
        raise ParameterError(f"the parameter {name} is missing")
    return values[name][0]


def _is_true(values: Values, name: str) -> bool:
    text = values[name][0] if name in values else "false"
    if text not in ("true", "false"):
        raise ParameterError(f"{name} is true or false, not {text!r}")
    return text == "true"


def question_texts(values: Values) -> QuestionTexts:
    """The parameters of a question among all."""

    def text(name: str) -> str | None:
        return values[name][0] if name in values else None

    return {"grain": text("grain"), "since": text("since"), "until": text("until"), "dim": text("dim")}


def summary_of(funnel: Funnel) -> FunnelSummary:
    """What a client needs to ask for it."""
    return {
        "name": funnel.name,
        "version": funnel.version,
        "timezone": funnel.timezone,
        "currency": funnel.currency,
        "currency_digits": minor_digits(funnel.currency),
        "stages": [stage.name for stage in funnel.stages],
        "overall_stage": funnel.stages[last_of_overall(funnel)].name,
        "dimensions": [dimension.name for dimension in funnel.dimensions],
        "pairs": ["|".join(pair) for pair in funnel.pairs],
    }
