"""How the tests themselves are written: they wait with a deadline, they measure no time, they import no other test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]

MAY_SLEEP = {
    "support/waiting.py": "the two loops that everybody waits with",
    "support/retrying.py": "how long a client waits before it tries again, and between two events",
    "support/tally.py": "a processor that is slow on purpose",
    "support/kills.py": "the next kill comes at any moment of the draining",
    "integration/test_prometheus.py": "a page may be so old, and no older",
    "kafka/test_collector.py": "how long a client waits before it tries again",
    "kafka/test_worker_faults.py": "the pace of a producer",
    "kafka/test_worker_rebalance.py": "the pace of a producer",
    "unit/producers/spool/test_sink.py": "outages last as long as chance has it; a client waits before it tries again",
    "unit/streams/web/test_server.py": "an answer that takes longer to make than a connection may stand still",
}
"""Where something has to last: waiting for a thing to happen is `until`'s."""

MAY_BOUND_TIME: dict[str, str] = {}
"""Where the time itself is what is promised."""

CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "time", "monotonic_ns", "perf_counter_ns"}
CLOCK = rf"\btime\.({'|'.join(sorted(CLOCKS))})\("


@cache
def texts() -> dict[str, str]:
    """Every file of the tests, by its path in tests/."""
    files = (path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts)
    return {path.relative_to(TESTS).as_posix(): path.read_text(encoding="utf-8") for path in files}


@cache
def parsed() -> dict[str, ast.Module]:
    """Those that may sleep or look at a clock; to parse them all takes seconds."""
    return {name: ast.parse(text) for name, text in texts().items() if "sleep(" in text or re.search(CLOCK, text)}


def calls(node: ast.AST, module: str, names: set[str]) -> Iterator[ast.Call]:
    """Calls of `module.name(...)` in a piece of code."""
    for call in ast.walk(node):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=found), attr=name)) if found == module and name in names:
                yield call


def sleeps(tree: ast.Module) -> list[int]:
    """Lines that sleep; `asyncio.sleep(0)` lets others run and is none."""
    found = [call for module in ("time", "asyncio") for call in calls(tree, module, {"sleep"})]
    return [call.lineno for call in found if not (isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)]


def is_elapsed(node: ast.expr) -> bool:
    """Whether it is a difference from a clock."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and any(calls(node, "time", CLOCKS))


def bounds_on_time(tree: ast.Module) -> list[int]:
    """Lines that compare what a clock has counted with a bound above it. A pause may be bounded from below."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            below = isinstance(node.ops[0], ast.Lt | ast.LtE) and is_elapsed(node.left)
            above = isinstance(node.ops[0], ast.Gt | ast.GtE) and is_elapsed(node.comparators[0])
            found += [node.lineno] if below or above else []
    return found


def test_tests_wait_with_a_deadline() -> None:
    sleeping = {name: lines for name, tree in parsed().items() if (lines := sleeps(tree))}
    assert {name: lines for name, lines in sleeping.items() if name not in MAY_SLEEP} == {}
    assert MAY_SLEEP.keys() <= sleeping.keys(), "these sleep no more"


def test_no_test_bounds_the_time_it_takes() -> None:
    bounding = {name: lines for name, tree in parsed().items() if (lines := bounds_on_time(tree))}
    assert {name: lines for name, lines in bounding.items() if name not in MAY_BOUND_TIME} == {}
    assert MAY_BOUND_TIME.keys() <= bounding.keys(), "these bound no time any more"


def test_no_test_imports_a_test() -> None:
    importing = re.compile(r"^ *(?:from|import) +tests\.[\w.]*\btest_\w+", re.M)
    assert [(name, found[0]) for name, text in texts().items() if (found := importing.search(text))] == []
