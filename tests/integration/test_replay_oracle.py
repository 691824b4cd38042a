"""`funnelcast replay --through memory` on random files prints what the oracle counts."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from funnelcast.replay.memory import Refusals, ReplayJob, replay_through_memory
from tests.oracle.counting import count
from tests.oracle.generate import Wants, random_case
from tests.property.cases import assert_same, text_of
from tests.property.driver import funnels_of, partition_of


@pytest.mark.parametrize("seed", range(900, 920))
async def test_a_replayed_file_counts_as_the_oracle_does(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    case = random_case(rng, Wants(max_partitions=3))
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in case.log))
    newest: int = max(record["tick"] if "tick" in record else record["received_at_ms"] for record in case.log)
    watermark = newest + rng.randint(0, 10**6) if rng.random() < 0.5 else None
    job = ReplayJob(
        funnels=tuple(funnels_of([case.funnel])),
        references=(),
        events=file,
        watermark_ms=watermark,
        partitions=case.partitions,
        watermark_delay_ms=case.watermark_delay_ms,
    )
    refused: list[str] = []
    (document,) = await replay_through_memory(job, Refusals(file, say=refused.append))
    assert refused == []
    expected = count(
        case.funnel,
        case.log,
        watermark_delay_ms=case.watermark_delay_ms,
        final_watermark_ms=watermark,
        partitions=case.partitions,
        partition_of=lambda person: partition_of(person, case.partitions),
    )
    counted = {name: part for name, part in document.items() if name != "rates"}
    try:
        assert_same(expected, counted)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}:\n{text_of(case)}\n{error}") from None
