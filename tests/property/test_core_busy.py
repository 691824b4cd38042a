"""Sealed chunks are exact: the laws again with chunks of one, two and three events, so that everybody is busy."""

from __future__ import annotations

from random import Random

import pytest

from streams.core.plan import Plan
from tests.oracle.counting import count
from tests.oracle.generate import Case, Wants
from tests.property.cases import assert_same, law
from tests.property.driver import core_documents, partition_of, random_run


@law(Wants(max_events=150, people=2), share=0.3)
def test_tiny_chunks_count_the_same(case: Case, rng: Random) -> None:
    """However early a person's events are sealed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "seal", rng.choice([1, 2, 3]))
        (document,) = core_documents([case.funnel], case, random_run(rng, case))
    wanted = count(
        case.funnel,
        case.log,
        watermark_delay_ms=case.watermark_delay_ms,
        partitions=case.partitions,
        partition_of=lambda person: partition_of(person, case.partitions),
    )
    assert_same(wanted, document)
