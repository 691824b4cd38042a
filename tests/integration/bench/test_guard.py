"""The guard: what has become more than a quarter dearer fails, and is named."""

from __future__ import annotations

from bench.guard import Bounds, Part, bare_loop, bounds_of, compared, measure

DENSE = [b'{"name":"click"}'] * 2_000


def test_what_is_a_quarter_dearer_fails_and_is_named() -> None:
    text, is_good = compared({"a": 12.4, "b": 12.6}, Bounds({"a": 10.0, "b": 10.0}))
    assert not is_good
    assert [line.endswith("too dear") for line in text.splitlines()] == [False, False, True]


def test_what_is_cheaper_or_has_no_baseline_passes() -> None:
    text, is_good = compared({"a": 5.0, "new": 99.0}, Bounds({"a": 10.0, "gone": 1.0}))
    assert is_good
    assert "-50%" in text


async def test_a_part_is_measured_until_one_round_is_within_the_bound_and_fails_where_none_is() -> None:
    calls = {"good": 0, "dear at first": 0, "dear": 0}

    def part(name: str, *, loops: tuple[float, ...]) -> Part:
        async def cost(number: int) -> dict[str, float]:
            calls[name] += 1
            return {name: bare_loop(DENSE) * loops[min(number, len(loops) - 1)]}

        return cost

    parts = [part("good", loops=(1,)), part("dear at first", loops=(5_000, 1)), part("dear", loops=(5_000,))]
    bounds = Bounds(dict.fromkeys(calls, 100.0))
    ratios = await measure(parts, 4, dense=DENSE, bounds=bounds)
    assert calls == {"good": 1, "dear at first": 2, "dear": 4}
    text, is_good = compared({name: min(those) for name, those in ratios.items()}, bounds)
    assert not is_good
    assert [line.endswith("too dear") for line in text.splitlines()] == [False, False, False, True]


def test_a_processor_without_a_baseline_is_compared_with_the_dearest_of_the_others_and_more_loosely() -> None:
    baselines = {"small": {"a": 10.0, "b": 30.0}, "large": {"a": 20.0}}
    assert bounds_of(baselines, "small").is_within("a", 12.5)
    assert not bounds_of(baselines, "small").is_within("a", 12.6)
    assert bounds_of(baselines, "new").is_within("a", 32.0)
    assert not bounds_of(baselines, "new").is_within("a", 32.1)
    assert bounds_of(baselines, "new").is_within("b", 48.0)
