"""The bytes of a document made of remembered parts are those of the document made at once."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from schemas.counters import Grain
from streams.report.document.counters import RATED_GRAINS, canonical_json, document_of
from streams.report.document.periods import Period
from streams.report.document.text import TextMemory, document_text
from streams.store.port import PartitionView
from tests.oracle.generate import Case, Wants, random_case
from tests.property.driver import Run, counted_of, funnels_of

_RUN = Run(batch_sizes=[1000], dump_and_load=False, general_only=False)


def _counted(case: Case) -> tuple[list[PartitionView], dict[tuple[int, str], int]]:
    (counted,) = counted_of([case.funnel], case, _RUN).values()
    return counted.views, counted.registers


def test_whatever_was_asked_before() -> None:
    """Logs that grow, of one funnel after the other under one name, in every shape: what is remembered is never of
    another log, funnel or list of reasons."""
    rng, memory = Random(7), TextMemory()
    for seed in range(12):
        case = random_case(Random(seed), Wants(max_events=60, max_partitions=2))
        case = replace(case, funnel={**case.funnel, "version": 1})
        (funnel,) = funnels_of([case.funnel])
        for count in (len(case.log) // 2, len(case.log) - 1, len(case.log)):
            views, registers = _counted(replace(case, log=case.log[:count]))
            for _ in range(3):
                period = rng.choice([None, None, Period.WEEK, Period.MONTH])
                rated = rng.choice([RATED_GRAINS, (), (Grain.HOUR,)])
                cells = document_of(funnel, views, registers=registers)["counters"].get("total", {}).get("all", {})
                only = rng.choice([None, *cells])
                wanted = document_of(funnel, views, registers=registers, rated=rated, only=only, period=period)
                for _ in range(2):
                    text = document_text(
                        funnel, views, registers=registers, memory=memory, rated=rated, only=only, period=period
                    )
                    assert text == canonical_json(wanted)


def _lost(stage: str, *reasons: str) -> Case:
    funnel = {
        "name": "f",
        "conversion_window": "1d",
        "stages": [{"name": stage, "on": ["a"]}, {"name": "z", "on": ["z"]}],
        "lost": [{"on": ["gone"]}],
    }
    log = [{"id": "0", "name": "a", "occurred_at_ms": 1, "user_id": "u"}]
    log += [
        {"id": reason, "name": "gone", "occurred_at_ms": 2, "user_id": "u", "properties": {"reason": reason}}
        for reason in reasons
    ]
    return Case(funnel, log)


def test_the_same_codes_of_other_reasons_and_stages() -> None:
    """What is counted differs in nothing but what the codes mean."""
    first, memory = funnels_of([_lost("a").funnel])[0], TextMemory()
    for case in (_lost("a", "price"), _lost("a", "timing"), _lost("b", "timing")):
        funnel = funnels_of([case.funnel])[0] if case.funnel["stages"][0]["name"] == "b" else first
        views, registers = _counted(case)
        text = document_text(funnel, views, registers=registers, memory=memory, rated=RATED_GRAINS)
        assert text == canonical_json(document_of(funnel, views, registers=registers))
