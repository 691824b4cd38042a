"""Every funnel that ships counts, by `funnelcast replay` and the oracle, over events that walk every path; its page."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.funnel.definition import definition_of
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.funnel.presets import preset_names
from tests.oracle.build import DAY, MINUTE, event, tick, total
from tests.oracle.counting import count
from tests.property.balances import check_balances
from tests.property.cases import assert_same
from tests.support.command import run_command

DOCS = Path(__file__).parents[2] / "docs"
DRAWING: dict[str, Any] = runpy.run_path(str(DOCS / "draw_presets.py"))
Log = list[dict[str, Any]]


def _walk(who: str, names: list[str], *, start: int = 0, **more: Any) -> Log:
    """A person's events, one a minute."""
    return [
        event(name, at * MINUTE, who=who, **{"channel": "Mail", "manager": "ann", **more})
        for at, name in enumerate(names, start)
    ]


def _whole_way(funnel: Funnel) -> Log:
    """One event of each stage in order; of an order stage as many orders as it asks for."""
    log: Log = []
    paid: dict[str, int] = {}
    for stage in funnel.stages:
        name = stage.on[0].event
        for _ in range(1 if stage.nth is None else max(1, stage.nth - paid.get(name, 0))):
            at = len(log) * MINUTE
            more = {} if stage.nth is None else {"order_id": f"o{at}", "value": "19.99"}
            log.append(event(name, at, who="all", id=f"all-{at}", channel="Mail", manager="ann", **more))
            paid[name] = paid.get(name, 0) + 1
    return log


def _every_path(funnel: Funnel) -> Log:
    """One person for each thing that can happen, and the end of all windows."""
    first, second, third = (stage.on[0].event for stage in funnel.stages[:3])
    order = _order_stage(funnel).on[0].event
    log = [
        *_whole_way(funnel),
        *_walk("skips", [first, third]),
        *_walk("abandons", [first]),
        *_walk("repeats", [first, first]),
        *_walk("comes-back", [first, funnel.lost[0].on[0].event, second], reason="price"),
        *_walk("buys", [first]),
        event(order, MINUTE, who="buys", order_id="o", value="19.99"),
        event("refund", 2 * MINUTE, who="buys", order_id="o", refund_id="r", value=5),
    ]
    for number, rule in enumerate(funnel.lost):
        log += _walk(f"lost-{number}", [first, rule.on[0].event], reason=f"Reason {number}")
    if funnel.unit is not None:
        loss = funnel.lost[0].on[0].event
        log += _walk("deals", [first], channel="google")
        log += _walk("deals", [first, second, loss], start=1, deal_id="A", channel="crm", reason="price")
        log += _walk("deals", [first, second, order], start=2, deal_id="B", channel="fair", order_id="o", value=900)
    for number, line in enumerate(log):
        line["id"] = f"e{number}"
    return [*log, tick(1200 * DAY)]


def _order_stage(funnel: Funnel) -> Any:
    return next((stage for stage in funnel.stages if stage.nth is not None), funnel.stages[-1])


def _replayed(directory: Path, funnel: Path | str, log: Log) -> dict[str, Any]:
    """The document that the command prints."""
    events = directory / "events.jsonl"
    events.write_text("".join(json.dumps(line) + "\n" for line in log))
    arguments = ("--funnel", str(funnel), "--events", str(events), "--watermark-delay", "0s", "--json")
    code, out, errors = run_command("replay", *arguments, state_dir=directory)
    assert code == 0, errors
    document: dict[str, Any] = json.loads(out)
    return {key: value for key, value in document.items() if key != "rates"}


@pytest.mark.parametrize("name", preset_names())
def test_every_path_through_a_preset(name: str, tmp_path: Path) -> None:
    funnel, definition = load_funnel(name), definition_of(load_funnel(name))
    log = _every_path(funnel)
    document = _replayed(tmp_path, name, log)
    assert_same(count(definition, log, watermark_delay_ms=0), document)
    check_balances(definition, document)
    whole, deals = total(document), 2 * (funnel.unit is not None)
    first, second = (whole[stage.name] for stage in funnel.stages[:2])
    rules = len(funnel.lost)
    assert first["entries"] == 6 + rules + deals
    assert second["skipped"] == 2
    assert (first["abandoned.cohort"], first["revived.cohort"]) == (2, 1)
    reasons = {rule.reason or f"reason {number}": 1 for number, rule in enumerate(funnel.lost)}
    came_back = funnel.lost[0].reason or "price"
    reasons[came_back] = reasons.get(came_back, 0) + 1
    assert first["lost.cohort"] == reasons
    assert whole[funnel.stages[-1].name]["completed"] >= 1
    assert whole[_order_stage(funnel).name]["refunds"] == {"USD": 500}
    if deals:
        assert total(document, "channel=fair")[_order_stage(funnel).name]["revenue"] == {"USD": 90_000}
        assert total(document, "channel=google")[funnel.stages[1].name]["lost.cohort"] == {"price": 1}


@pytest.mark.parametrize("stages", [2, 24])
def test_a_funnel_of_ones_own_has_as_many_stages_as_one_likes(stages: int, tmp_path: Path) -> None:
    names = [f"step {number}" for number in range(1, stages)]
    definition = {
        "name": "own",
        "conversion_window": "30d",
        "stages": [{"name": name, "on": [name], "abandon_after": "1d"} for name in names]
        + [{"name": "paid", "on": ["paid"], "order": True}],
    }
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(definition))
    log = [*_walk("a", [*names, "paid"], value=1), *_walk("b", names[:1]), tick(60 * DAY)]
    document = _replayed(tmp_path, file, log)
    assert_same(count(definition_of(load_funnel(str(file))), log, watermark_delay_ms=0), document)
    assert [total(document)[name]["advanced.cohort"] for name in names] == [1] * (stages - 1)
    assert total(document)["paid"]["revenue"] == {"USD": 100}


@pytest.mark.parametrize("name", preset_names())
def test_the_page_of_a_preset_shows_its_picture_and_every_stage(name: str) -> None:
    page = (DOCS / "presets" / f"{name}.md").read_text(encoding="utf-8")
    funnel = load_funnel(name)
    for stage in funnel.stages:
        assert f"| {stage.name} | {', '.join(rule.event for rule in stage.on)} |" in page
    assert f"]({name}.svg)" in page
    assert f"](presets/{name}.md)" in (DOCS / "presets.md").read_text(encoding="utf-8")
    drawn = DRAWING["draw"](funnel)
    assert drawn == (DOCS / "presets" / f"{name}.svg").read_text(encoding="utf-8"), "run: python docs/draw_presets.py"
