"""Definitions that load and cannot work, and what differs between two."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.funnel.diff import Change, changes, changes_numbers
from schemas.funnel.effects import effect_of
from schemas.funnel.lint import problems
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.funnel.parts import Dimension, Stage
from schemas.funnel.presets import preset_names


def funnel(*stages: dict[str, Any], **more: Any) -> Funnel:
    return Funnel.model_validate({"name": "shop", "conversion_window": "30d", "stages": list(stages), **more})


def where(**conditions: Any) -> dict[str, Any]:
    return {"name": "lead", "on": [{"event": "lead", "where": conditions}]}


def of(name: str, *values: str) -> dict[str, Any]:
    """A dimension."""
    return {"name": name, "attribution": "first", "values": list(values)}


CLICK, LEAD = {"name": "click", "on": ["click"]}, {"name": "lead", "on": ["lead"]}
PAID = {"name": "paid", "on": ["payment"], "order": True}


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (funnel(CLICK), "one only"),
        (funnel(CLICK, {"name": "again", "on": ["click"]}), "the later stage again takes all"),
        (funnel({"name": "click", "on": [{"event": "click", "where": {"a": 1}}]}, {**CLICK, "name": "any"}), "later"),
        (funnel(CLICK, LEAD, lost=[{"on": ["click"]}]), "a lost rule takes all"),
        (funnel(PAID, {"name": "thanks", "on": ["payment"]}), "the order stage paid takes all"),
        (funnel({**CLICK, "abandon_after": "90d"}, LEAD), "abandon_after 90d is never reached"),
        (funnel({**CLICK, "abandon_after": "1d", "stalled_after": "2d"}, LEAD), "nobody is ever stalled"),
        (funnel(CLICK, where(value={"gt": 5, "lt": 5})), "no number is above 5 and below 5"),
        (funnel(CLICK, where(value={"exists": False, "gt": 5})), "leaves nothing to compare"),
        (funnel(CLICK, where(**{"page.path": "checkout"})), "write '/checkout', or page.url"),
        (funnel(CLICK, where(**{"page.title": {"gte": 3}})), "write starts_with, contains or matches"),
        (funnel(CLICK, where(**{"utm.source": [1, 2]})), "write utm.source: '1'"),
        (funnel(CLICK, where(traffic="human beings")), "write one of human"),
        (funnel(CLICK, where(traffic="bot")), "'bot' is left out of this funnel"),
        (funnel(CLICK, {"name": "regular", "on": ["payment"], "nth": 2}), "nth 2 without"),
        (funnel(CLICK, LEAD, dimensions=[of("channel", "ads", " N/A ")]), "'n/a' stands for nothing"),
        (funnel(CLICK, LEAD, dimensions=[of("channel", "{{channel}}")]), "stands for nothing"),
        (funnel(CLICK, LEAD, dimensions=[of("page.path", "/a", "b")]), "write '/b', or page.url"),
        (funnel(CLICK, LEAD, dimensions=[of("traffic", "Human", "bot")]), "'bot' is left out of this funnel"),
        (funnel(CLICK, LEAD, lost=[{"on": ["gone"], "reason": "(not set)"}]), "the reason '(not set)' stands for"),
    ],
)
def test_what_cannot_work_is_said_with_its_place(definition: Funnel, said: str) -> None:
    (problem,) = problems(definition)
    assert said in problem
    assert problem.startswith(("stages", "dimensions", "lost"))


@pytest.mark.parametrize(
    "definition",
    [
        funnel(CLICK, {"name": "again", "on": [{"event": "click", "where": {"page": "/thanks"}}]}),
        funnel(CLICK, PAID, {"name": "regular", "on": ["payment"], "nth": 3}),
        funnel({"name": "click", "on": ["click", "tap"]}, {"name": "lead", "on": ["click"]}),
        funnel(CLICK, where(traffic="bot"), traffic=["human", "bot"], dimensions=[of("c", "unknown", "other", "0")]),
        *map(load_funnel, preset_names()),
    ],
)
def test_what_can_work_is_left_alone(definition: Funnel) -> None:
    assert problems(definition) == []


def test_a_difference_is_named_by_stage_and_key() -> None:
    before = funnel({**CLICK, "abandon_after": "1d"}, LEAD, description="one")
    after = funnel(CLICK, LEAD, PAID, version=2, description="two")
    changed = {change.path: (change.before, change.after) for change in changes(before, after)}
    assert changed["stages.click.abandon_after"] == ("1d", None)
    assert changed["stages.paid"][0] is None
    assert changed["description"] == ("one", "two")
    assert changed.keys() == {"version", "stages.click.abandon_after", "stages.paid", "description"}


def test_texts_for_people_change_no_number() -> None:
    before, after = funnel(CLICK, LEAD, description="one"), funnel(CLICK, LEAD, description="two")
    assert not any(map(changes_numbers, changes(before, after)))
    telling = funnel(CLICK, LEAD, description="one", journeys=True)
    assert [change.path for change in changes(before, telling)] == ["journeys"]
    assert not any(map(changes_numbers, changes(before, telling)))
    assert any(map(changes_numbers, changes(before, funnel(LEAD, CLICK))))


@pytest.mark.parametrize(
    ("name", "instead"),
    [("page.adress", "context.page.adress"), ("utm.sorce", "utm.source utm.medium"), ("context.", "context.page.url")],
)
def test_a_place_that_nothing_has_is_refused_with_what_to_write(name: str, instead: str) -> None:
    for definition in ([CLICK, where(**{name: "x"})], [CLICK, LEAD]):
        dimensions = [] if definition[1] is not LEAD else [{"name": "d", "attribution": "first", "property": name}]
        with pytest.raises(ValueError, match=instead):
            funnel(*definition, dimensions=dimensions)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"matches": "(a"}, "missing"),
        ({"matches": "(?=a)"}, "no lookaround"),
        ({"matches": "a" * 501}, "at most 500"),
        ({"contains": 5}, "compares texts"),
        ({"starts_with": []}, "compares texts"),
    ],
)
def test_comparisons_of_texts_say_what_they_take(condition: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        funnel(CLICK, where(form=condition))


def test_what_a_change_does_is_said_in_words() -> None:
    where_form = {"event": "form", "where": {"form": "contact"}}
    before = funnel(CLICK, LEAD, PAID, dimensions=[{"name": "channel", "attribution": "first"}])
    after = funnel(
        {**CLICK, "abandon_after": "2h"},
        {"name": "a.b", "on": ["offer"]},
        {**LEAD, "on": ["signup", where_form]},
        dimensions=[{"name": "channel", "attribution": "stage"}, {"name": "city", "attribution": "first"}],
    )
    effects = {change.path: effect_of(change) for change in changes(before, after)}
    assert effects["stages.click.abandon_after"] == "click: entries are abandoned, and revived, at another moment"
    assert effects["stages.a.b"] == "a new stage, entered by offer"
    assert effects["stages.paid"] == "the stage is gone, and what payment counted there"
    assert effects["stages.lead.on"] == ('lead: takes signup, form where {"form": "contact"} too; no longer takes lead')
    assert effects["dimensions.channel.attribution"].startswith("channel: a journey counts under the value")
    assert effects["dimensions.city"] == "counted by city too"


def test_every_key_of_a_funnel_and_its_parts_has_an_effect() -> None:
    for field, model in (("stages", Stage), ("dimensions", Dimension), ("", Funnel)):
        keys = {info.alias or name for name, info in model.model_fields.items()} - {
            "name",
            "on",
            "stages",
            "dimensions",
        }
        for key in keys:
            change = Change(f"{field}.x.{key}" if field else key, 1, 2)
            assert effect_of(change) or key == "position", key
