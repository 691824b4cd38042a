"""The wheel of wake-up times: never early, nothing twice, nothing lost."""

from __future__ import annotations

from random import Random

from streams.core.timers import Wheel


def test_a_key_comes_out_once_the_watermark_is_past_its_millisecond() -> None:
    wheel = Wheel()
    wheel.push([(b"a", 1_500)])
    assert wheel.due(1_500) == []
    assert wheel.due(1_501) == [b"a"]
    assert wheel.due(10_000_000) == []


def test_a_key_pushed_twice_for_one_time_comes_out_once() -> None:
    wheel = Wheel()
    wheel.push([(b"a", 5_000), (b"a", 5_000)])
    assert wheel.due(7_000_000) == [b"a"]


def test_everything_comes_out_in_the_first_look_after_its_time() -> None:
    rng = Random(4)
    wheel = Wheel()
    wanted = {b"%d" % at: rng.randrange(20_000_000) for at in range(2_000)}
    known = [key for key in wanted if rng.random() < 0.5]
    wheel.push((key, wanted[key]) for key in known)
    later = [key for key in wanted if key not in known]
    watermark, seen = 0, set[bytes]()
    while watermark < 21_000_000:
        before, watermark = watermark, watermark + rng.choice([1, 400, 90_000, 5_000_000])
        soon, later = later[:200], [key for key in later[200:] if wanted[key] >= watermark]
        wheel.push((key, wanted[key]) for key in soon if wanted[key] >= before)
        known += [key for key in soon if wanted[key] >= before]
        due = wheel.due(watermark)
        assert all(before <= wanted[key] < watermark for key in due)
        seen.update(due)
        assert sorted(wheel.entries()) == sorted((key, wanted[key]) for key in known if key not in seen)
        assert wheel.size == len(known) - len(seen)
    assert seen == set(known)
