"""The API keeps to its own description: a fuzzer makes requests of it, and checks every answer against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypedDict

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from funnelcast import __version__
from streams.api.description import OPENAPI, PAGES, description_json
from streams.api.schema import Schemas
from tests.support.deployed import ROOT
from tests.support.http import plain_get
from tests.support.served_reports import served
from tests.support.thorough import cases


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as url:
        yield url


def test_the_description_in_the_docs_is_the_one_that_is_served() -> None:
    text = (ROOT / "docs/openapi.json").read_bytes()
    assert text == description_json(__version__), "run: funnelcast web --describe > docs/openapi.json"


def test_it_is_served(url: str) -> None:
    answer = plain_get(url + OPENAPI)
    assert answer.json()["openapi"] == "3.1.0"
    assert set(answer.json()["paths"]) == set(PAGES)
    assert answer.headers["etag"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_keeps_to_the_description(url: str, path: str) -> None:
    schema = schemathesis.openapi.from_url(url + OPENAPI)
    schema.config.update(base_url=url)
    operation = schema[path]["GET"]
    # a well-formed question may still have no answer: a dimension that is not counted, a span that ends too early
    excluded = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]

    def keeps_to_it(case: Any) -> None:
        case.call_and_validate(excluded_checks=excluded)

    for mode in schemathesis.GenerationMode:
        if mode is not schemathesis.GenerationMode.POSITIVE and not PAGES[path].parameters:
            continue
        run = given(case=operation.as_strategy(generation_mode=mode))(keeps_to_it)
        settings(max_examples=cases(40), deadline=None, suppress_health_check=list(HealthCheck))(run)()


class _Inner(TypedDict, total=False):
    """A shape
    inside."""

    choice: Literal["a", "b"]


class _Outer(TypedDict):
    inner: _Inner | None
    several: list[_Inner]
    plain: float | None


def test_schemas_of_shapes() -> None:
    schemas = Schemas()
    reference = {"$ref": "#/components/schemas/_Inner"}
    assert schemas.of(_Outer) == {"$ref": "#/components/schemas/_Outer"}
    assert schemas.components["_Outer"]["properties"] == {
        "inner": {"anyOf": [reference, {"type": "null"}]},
        "several": {"type": "array", "items": reference},
        "plain": {"type": ["number", "null"]},
    }
    assert schemas.components["_Outer"]["required"] == ["inner", "plain", "several"]
    inner = schemas.components["_Inner"]
    assert (inner["properties"], inner["required"]) == ({"choice": {"enum": ["a", "b"]}}, [])
    assert inner["description"] == "A shape inside."


def test_a_type_without_a_schema_is_said() -> None:
    with pytest.raises(TypeError, match="has no schema"):
        Schemas().of(set[int])
