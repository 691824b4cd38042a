"""The API keeps to its own description: a fuzzer makes requests of it, and checks every answer against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from streams.api.description import OPENAPI, PAGES
from tests.support.served_reports import served
from tests.support.thorough import cases
from tests.support.waiting import LIMIT


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as url:
        yield url


@pytest.mark.parametrize("path", PAGES)
def test_every_page_keeps_to_the_description(url: str, path: str) -> None:
    schema = schemathesis.openapi.from_url(url + OPENAPI)
    schema.config.update(base_url=url)
    operation = schema[path]["GET"]
    # a well-formed question may still have no answer: a dimension that is not counted, a span that ends too early
    excluded = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]

    def keeps_to_it(case: Any) -> None:
        case.call_and_validate(excluded_checks=excluded, timeout=LIMIT)

    for mode in schemathesis.GenerationMode:
        if mode is not schemathesis.GenerationMode.POSITIVE and not PAGES[path].parameters:
            continue
        run = given(case=operation.as_strategy(generation_mode=mode))(keeps_to_it)
        settings(max_examples=cases(40), deadline=None, suppress_health_check=list(HealthCheck))(run)()
