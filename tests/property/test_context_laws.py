"""What a funnel reads out of the context counts as if it were a property; operators mean what the oracle says."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.conditions import holds
from schemas.places import in_context
from tests.oracle.definition import Rule, value_at
from tests.oracle.generate import Case, Wants
from tests.property.cases import assert_same, law
from tests.property.driver import core_document, oracle_document, random_run

_MOVED = {
    "kind": "context.shop.kind",
    "level": "context.level",
    "channel_of": "context.shop.place",
    "place": "page.title",
}
NOTHING: list[Any] = [None, {}, {"page": "none"}]
_TEXTS = st.text(alphabet="ab/.-é?#: ", max_size=12)
_ADDRESSES = st.builds(
    "".join, st.lists(st.sampled_from(["https://", "a.example", "/", "?q=/x", "#/r", "b", ":8", ""]))
)


@law(Wants(), share=0.3)
def test_a_value_in_the_context_counts_as_a_property(case: Case, rng: Random) -> None:
    """The same funnel over the same events, whose values lie elsewhere; a null in the properties hides nothing."""
    moved = replace(case, funnel=_renamed(case.funnel), log=[_moved(record, rng) for record in case.log])
    document = core_document(moved, random_run(rng, case))
    assert_same(oracle_document(moved), document)
    assert_same(oracle_document(case)["counters"], document["counters"])


def _renamed(funnel: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(funnel)
    for old, new in _MOVED.items():
        if old != "place":
            text = text.replace(f'"{old}"', f'"{new}"')
    renamed: dict[str, Any] = json.loads(text)
    for dimension in renamed.get("dimensions", []):
        if dimension["name"] == "place" and "property" not in dimension:
            dimension["property"] = "page.title"
    return renamed


def _moved(record: dict[str, Any], rng: Random) -> dict[str, Any]:
    if "properties" not in record:
        return record
    properties = dict(record["properties"])
    context: dict[str, Any] = {}
    for old, new in _MOVED.items():
        path = new.replace("page.", "context.page.").split(".")[1:]
        if old in properties:
            place = context
            for member in path[:-1]:
                place = place.setdefault(member, {})
            place[path[-1]] = properties.pop(old)
            if rng.random() < 0.2:
                properties[new] = None
    return {**record, "properties": properties, "context": context or rng.choice(NOTHING)}


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(_TEXTS, _TEXTS, st.sampled_from(["starts_with", "ends_with", "contains", "ne"]))
def test_operators_on_texts(value: str, wanted: str, operator: Any) -> None:
    """Part of the text, with case, however accents are written."""
    wanted = wanted or "a"
    rule = Rule("e", {"p": {operator: wanted}})
    assert holds(operator, wanted, value) == rule.matches("e", {"p": value})


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(_ADDRESSES)
def test_the_path_of_any_address(url: str) -> None:
    """One path for clients that say the path and for those that say the address alone."""
    context = {"page": {"url": url}}
    assert in_context("page.path", context) == value_at("page.path", {}, context)
