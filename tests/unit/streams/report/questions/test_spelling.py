"""What people read shows names as they were first written; what is compared stays as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from schemas.funnel.load import parse_funnel
from schemas.names import clean_value, written_value
from streams.core.place import Place
from streams.report.document.counters import build_document
from streams.report.questions.spelling import Spelling, read_spelling
from streams.store.memory import MemoryCounterReader, MemoryPartitionStore, MemorySpace
from streams.worker.partition import LogRecord, PartitionProcessor
from tests.support.rows import rows

FUNNEL = parse_funnel(
    """
name: shop
conversion_window: 30d
stages: [{name: click, on: click}, {name: lead, on: lead}]
lost: [{on: lead_lost}]
dimensions:
  - {name: channel, attribution: first}
  - {name: manager, attribution: stage, values: [Ann Smith, bob]}
pairs: [[channel, manager]]
"""
)
SENT = [
    ("click", "v1", {"channel": "Google Ads", "manager": "ANN SMITH"}),
    ("click", "v2", {"channel": "google ads", "manager": "Bob"}),
    ("click", "v3", {"channel": " Ärger=1|x ", "manager": "carl"}),
    ("click", "v4", {"channel": "Other"}),
    ("lead_lost", "v1", {"reason": "Too Dear"}),
    ("lead_lost", "v2", {"reason": "TOO DEAR"}),
]


def record(number: int, name: str, person: str, properties: dict[str, str]) -> LogRecord:
    at = 1_735_725_600_000 + number
    fields = {"id": f"e{number}", "name": name, "occurred_at_ms": at, "received_at_ms": at, "source": "s"}
    value = json.dumps({**fields, "anonymous_id": person, "properties": properties}).encode()
    return LogRecord(f"a:{person}".encode(), value, at, number)


async def counted(sent: Sequence[tuple[str, str, dict[str, str]]]) -> MemoryCounterReader:
    space = MemorySpace(clock_ms=lambda: 0)
    processor = PartitionProcessor(MemoryPartitionStore(space), Place(0, 1), [FUNNEL])
    await processor.claim()
    await processor.process([record(number, *each) for number, each in enumerate(sent)], len(sent))
    return MemoryCounterReader(space)


async def test_names_are_compared_in_one_form_and_shown_as_first_written() -> None:
    reader = await counted(SENT)
    document, spelling = await build_document(reader, FUNNEL), await read_spelling(reader, FUNNEL)
    assert spelling.names == {
        "channel": {"google ads": "Google Ads", "ärger=1|x": "Ärger=1|x", '"other"': '"Other"'},
        "manager": {"ann smith": "Ann Smith"},
        "reason": {"too dear": "Too Dear"},
    }
    cells, shown = (each["counters"]["total"]["all"] for each in (document, spelling.shown(document)))
    assert cells["channel=google ads"]["click"]["lost.cohort"] == {"too dear": 2}
    assert shown["channel=Google Ads"]["click"]["lost.cohort"] == {"Too Dear": 2}
    assert [*shown] == [spelling.label(label) for label in cells]
    assert {"manager=Ann Smith", "manager=bob", "manager=other", 'channel="Other"'} < {*shown}
    assert {"channel=Google Ads|manager=Ann Smith", "channel=Ärger=1|x|manager=other"} < {*shown}
    assert {rates["dim"] for rates in spelling.shown(document)["rates"]} >= {"channel=Google Ads"}


def test_a_dimension_called_reason_shares_the_place_of_the_reasons() -> None:
    dimension = FUNNEL.dimensions[0].model_copy(update={"name": "reason"})
    funnel = FUNNEL.model_copy(update={"dimensions": (dimension,)})
    registers = {(0, "too dear"): 2, (1, "google ads"): 2}
    spelling = Spelling(funnel, registers, {(0, 2): "Too Dear", (1, 2): "Google Ads"})
    assert spelling.names == {"reason": {"google ads": "Google Ads", "too dear": "Too Dear"}}
    assert spelling.label("reason=google ads") == "reason=Google Ads"


async def test_a_decomposition_is_shown_as_written() -> None:
    spelling = await read_spelling(await counted(SENT), FUNNEL)
    part: Any = {"dim": "channel", "values": [{"value": "google ads", "mix": 1}], "top": ["google ads"]}
    shown = spelling.shown({"decompositions": [part]})["decompositions"][0]
    assert (shown["values"], shown["top"]) == ([{"value": "Google Ads", "mix": 1}], ["Google Ads"])


async def test_a_stage_called_values_has_counts() -> None:
    spelling = await read_spelling(await counted(SENT), FUNNEL)
    cells: Any = {"values": {"entries": 1, "value": {"EUR": 500}}}
    assert spelling.shown(cells) == cells
    assert spelling.shown({"values": {"channel": "google ads"}}) == {"values": {"channel": "Google Ads"}}


async def test_what_is_written_as_it_is_compared_is_not_touched() -> None:
    reader = await counted([("click", "v1", {"channel": "mail"})])
    document, spelling = await build_document(reader, FUNNEL), await read_spelling(reader, FUNNEL)
    assert spelling.names == {"manager": {"ann smith": "Ann Smith"}}
    assert spelling.shown(document) == document


@rows(
    "value, shown",
    [
        ("  Google Ads ", "Google Ads"),
        ("OTHER", '"OTHER"'),
        (3.5, "3.5"),
        (True, "true"),
        (" ", "unknown"),
        ([], "unknown"),
        ("É" * 80, "É" * 64),
    ],
)
def test_a_written_value_is_the_compared_one_in_its_own_case(value: Any, shown: str) -> None:
    assert written_value(value) == shown
    assert clean_value(shown) in (clean_value(value), f'"{clean_value(value)}"')


def test_how_listed_values_are_written_changes_no_fingerprint() -> None:
    text = FUNNEL.model_copy(
        update={
            "dimensions": (
                FUNNEL.dimensions[0],
                FUNNEL.dimensions[1].model_copy(update={"values": ("ann smith", "bob")}),
            )
        }
    )
    assert text.fingerprint == FUNNEL.fingerprint
