"""Every funnel that ships counts: a person who does everything reaches the last stage, as the oracle says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.funnel.definition import definition_of
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.funnel.presets import preset_names
from tests.oracle.build import MINUTE, event, total
from tests.oracle.counting import count
from tests.oracle.generate import Case
from tests.property.driver import Run, core_document

PRESETS = Path(__file__).parents[2] / "docs" / "presets.md"


def _whole_way(funnel: Funnel) -> list[dict[str, Any]]:
    """One event of each stage in order; of an order stage as many orders as it asks for."""
    log: list[dict[str, Any]] = []
    paid: dict[str, int] = {}
    for stage in funnel.stages:
        name = stage.on[0].event
        for _ in range(1 if stage.nth is None else max(1, stage.nth - paid.get(name, 0))):
            at = len(log) * MINUTE
            more = {} if stage.nth is None else {"order_id": f"o{at}", "value": "19.99"}
            log.append(event(name, at, id=f"e{at}", channel="Mail", manager="ann", campaign="x", shop="1", **more))
            paid[name] = paid.get(name, 0) + 1
    return log


@pytest.mark.parametrize("name", preset_names())
def test_a_person_who_does_everything_reaches_the_last_stage(name: str) -> None:
    funnel = load_funnel(name)
    case = Case(definition_of(funnel), _whole_way(funnel), watermark_delay_ms=0)
    document = core_document(case, Run(batch_sizes=[2] * 20, dump_and_load=True, general_only=False))
    assert document == count(case.funnel, case.log, watermark_delay_ms=0)
    assert {stage: families["entries"] for stage, families in total(document).items()} == dict.fromkeys(
        [stage.name for stage in funnel.stages], 1
    )
    assert total(document)[funnel.stages[-1].name]["completed"] == 1


@pytest.mark.parametrize("name", preset_names())
def test_the_page_of_presets_names_every_stage_and_event(name: str) -> None:
    page = PRESETS.read_text(encoding="utf-8").split(f"## {name}\n", 1)[1].split("\n## ", 1)[0]
    for stage in load_funnel(name).stages:
        assert f"| {stage.name} | {', '.join(rule.event for rule in stage.on)} |" in page
