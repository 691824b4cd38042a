"""The description of the API: the one in the docs is served, and every type of an answer has a schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypedDict

import pytest

from funnelcast import __version__
from streams.api.description import OPENAPI, PAGES, description_json
from streams.api.schema import Schemas
from tests.support.deployed import ROOT
from tests.support.http import plain_get
from tests.support.served_reports import served


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
