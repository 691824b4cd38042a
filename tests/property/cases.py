"""Random cases for the laws: how many, how they are numbered, how one is made free of what may depend on order.

`FUNNELCAST_CASES` sets how many logs each law sees (20 while one works, 300 in CI); `FUNNELCAST_SEED` picks the one
that a failure printed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.oracle.definition import duration_ms
from tests.oracle.generate import Case, Log, Wants, random_case
from tests.oracle.shrink import smallest
from tests.oracle.values import person_of
from tests.support.thorough import cases

CASES = int(os.environ.get("FUNNELCAST_CASES", cases(300, few=20)))
_SEED = os.environ.get("FUNNELCAST_SEED")

Check = Callable[[Case, Random], None]


def law(wants: Wants | None = None, *, share: float = 1.0) -> Callable[[Check], Callable[[], None]]:
    """A test that checks a law on `CASES * share` random cases; a failure shows the smallest case and its seed.

    The seed is all that hypothesis draws: a log made of one seed shrinks better by taking its records and stages away
    (`tests.oracle.shrink`) than by changing the numbers behind it.
    """

    def decorate(check: Check) -> Callable[[], None]:
        def check_seed(seed: int) -> None:
            _hold(check, seed, random_case(Random(seed), wants))

        run = given(seed=st.integers(0, 2**48))(check_seed)
        run = settings(
            max_examples=max(10, int(CASES * share)),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            derandomize="FUNNELCAST_RANDOM" not in os.environ,
        )(run)

        def test() -> None:
            if _SEED is not None:
                check_seed(int(_SEED))
            else:
                run()

        test.__name__, test.__doc__, test.__module__ = check.__name__, check.__doc__, check.__module__
        return test

    return decorate


def _hold(check: Check, seed: int, case: Case) -> None:
    failure = _failure(check, seed, case)
    if failure is None:
        return

    def fails(smaller: Case) -> bool:
        smaller_failure = _failure(check, seed, smaller)
        return smaller_failure is not None and type(smaller_failure) is type(failure)

    small = smallest(case, fails)
    shown = _failure(check, seed, small) or failure
    raise AssertionError(f"FUNNELCAST_SEED={seed} fails; the smallest such case:\n{text_of(small)}\n{shown}") from shown


def _failure(check: Check, seed: int, case: Case) -> Exception | None:
    try:
        check(case, Random(seed))
    except Exception as error:  # noqa: BLE001 - whatever the product raises on a case is the failure to show
        return error
    return None


def text_of(case: Case) -> str:
    """A case to read and to paste: the funnel, one record a line, times relative to nothing."""
    lines = [f"watermark_delay_ms={case.watermark_delay_ms} partitions={case.partitions}", json.dumps(case.funnel)]
    return "\n".join([*lines, *(json.dumps(record) for record in case.log)])


def difference(expected: Any, counted: Any, path: str = "") -> list[str]:
    """Where two documents differ, one line each."""
    if isinstance(expected, dict) and isinstance(counted, dict):
        lines: list[str] = []
        for key in sorted({*expected, *counted}):
            lines += difference(expected.get(key), counted.get(key), f"{path}/{key}")
        return lines
    return [] if expected == counted else [f"{path}: expected {expected!r}, counted {counted!r}"]


def assert_same(expected: Any, counted: Any) -> None:
    """Equal, or a failure that names the first dozen differences."""
    lines = difference(expected, counted)
    assert not lines, "\n".join(lines[:12] + ([f"... and {len(lines) - 12} more"] if len(lines) > 12 else []))


def agreeing(case: Case) -> Case:
    """The case with all copies of one event saying the same (what the first in the log says)."""
    first: dict[tuple[str | None, str, str], dict[str, Any]] = {}
    log: Log = []
    for record in case.log:
        if "tick" not in record:
            said = first.setdefault((person_of(record), record["source"], record["id"]), record)
            same = {key: said[key] for key in ("name", "occurred_at_ms", "properties")}
            received = max(record["received_at_ms"], said["occurred_at_ms"])
            record = {**record, **same, "received_at_ms": received}
        log.append(record)
    return replace(case, log=log)


def order_free(case: Case) -> Case:
    """The case with agreeing copies and a lateness that covers the log: nothing in it depends on the log's order."""
    case = agreeing(case)
    times: list[int] = [record["tick"] if "tick" in record else record["received_at_ms"] for record in case.log]
    times += [record["occurred_at_ms"] for record in case.log if "tick" not in record]
    lateness = max(max(times) - min(times), duration_ms(case.funnel["allowed_lateness"]))
    return replace(case, funnel={**case.funnel, "allowed_lateness": f"{lateness}ms"})


def shuffled(rng: Random, case: Case) -> Case:
    """The same records in another order."""
    return replace(case, log=rng.sample(case.log, len(case.log)))
