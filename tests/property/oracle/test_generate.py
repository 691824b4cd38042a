"""The generator: the same seed gives the same case, rare things are common, and the shrinker finds small cases."""

from __future__ import annotations

from collections import Counter
from random import Random

from schemas.funnel.model import Funnel
from tests.oracle.counting import count
from tests.oracle.generate import Case, Wants, random_case
from tests.oracle.shrink import smallest
from tests.support.thorough import cases


def test_a_seed_is_a_case() -> None:
    assert random_case(Random(7)) == random_case(Random(7))
    assert random_case(Random(7)) != random_case(Random(8))


def test_every_definition_is_one_that_the_product_takes() -> None:
    for seed in range(cases(200, few=100)):
        assert Funnel.model_validate(random_case(Random(seed)).funnel).stages


def test_rare_things_are_common() -> None:
    seen: Counter[str] = Counter()
    seeds = cases(200, few=100)
    for seed in range(seeds):
        case = random_case(Random(seed))
        document = count(case.funnel, case.log, watermark_delay_ms=case.watermark_delay_ms)
        seen.update(name for name, number in document["input"].items() if number)
        total = document["counters"].get("total", {}).get("all", {}).get("", {})
        seen.update({family for families in total.values() for family in families})
    wanted = {"late", "duplicates", "revived.cohort", "lost.cohort", "skipped", "won", "open", "open_value"}
    assert not {name for name in wanted if seen[name] < 0.075 * seeds}, seen
    assert seen["stalled"] >= 0.025 * seeds, seen


def test_the_shrinker_finds_the_one_record_that_matters() -> None:
    def has_an_order(case: Case) -> bool:
        if not any(stage.get("order") for stage in case.funnel["stages"]):
            return False  # it takes two orders to have a second one
        document = count(case.funnel, case.log, watermark_delay_ms=case.watermark_delay_ms)
        total = document["counters"].get("total", {}).get("all", {}).get("", {})
        return any("orders" in families for families in total.values())

    case = next(found for seed in range(100) if has_an_order(found := random_case(Random(seed), Wants())))
    small = smallest(case, has_an_order)
    assert len(small.log) == 1
    assert len(small.funnel["stages"]) == 2
    assert "dimensions" not in small.funnel
