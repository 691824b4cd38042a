"""Sealed chunks are exact: the laws again with chunks of one to three events, so that everybody is heavy."""

from __future__ import annotations

from random import Random

import pytest

from streams.core.plan import Plan
from tests.oracle.generate import Case, Wants
from tests.property.cases import assert_same, law
from tests.property.driver import core_document, oracle_document, random_run


@law(Wants(max_events=150, people=2), share=0.3)
def test_tiny_chunks_count_the_same(case: Case, rng: Random) -> None:
    """However early a person's events are sealed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "seal", rng.choice([1, 2, 3]))
        document = core_document(case, random_run(rng, case))
    assert_same(oracle_document(case), document)
