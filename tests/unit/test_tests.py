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
    "unit/producers/spool/test_sink.py": "a client waits before it tries again",
    "unit/producers/webhooks/test_enricher.py": "a loop that stands still",
    "unit/streams/web/test_server.py": "an answer that takes longer to make than a connection may stand still",
}
"""Where something has to last: waiting for a thing to happen is `until`'s."""

MAY_SET_A_LIMIT = {
    "compose/test_compose.py": "minutes for images and containers",
    "support/valkey.py": "a server that stands still is asked again",
}
"""Anything else waits for as long as tests/support/waiting.py has it."""
LIMITS = re.compile(
    r"\btimeout=\d|until\(.*\b(?:limit|seconds)=\d|wait_for\(.*, [\d.]+\)|asyncio\.timeout\(\d"
    r"|\.(?:wait|join)\([\d.]+\)|mark\.timeout"
)

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
            case ast.Call(func=ast.Attribute(value=ast.Name(id=base), attr=name)) if base == module and name in names:
                yield call


def sleeps(tree: ast.Module) -> list[int]:
    """Lines that sleep; `asyncio.sleep(0)` lets others run and is none."""
    sleeping = [call for module in ("time", "asyncio") for call in calls(tree, module, {"sleep"})]
    return [
        call.lineno for call in sleeping if not (isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)
    ]


def is_elapsed(node: ast.expr) -> bool:
    """Whether it is a difference from a clock."""
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and any(calls(node, "time", CLOCKS))


def bounds_on_time(tree: ast.Module) -> list[int]:
    """Lines that compare what a clock has counted with a bound above it. A pause may be bounded from below."""
    bounds = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            below = isinstance(node.ops[0], ast.Lt | ast.LtE) and is_elapsed(node.left)
            above = isinstance(node.ops[0], ast.Gt | ast.GtE) and is_elapsed(node.comparators[0])
            bounds += [node.lineno] if below or above else []
    return bounds


def test_tests_wait_with_a_deadline() -> None:
    sleeping = {name: lines for name, tree in parsed().items() if (lines := sleeps(tree))}
    assert {name: lines for name, lines in sleeping.items() if name not in MAY_SLEEP} == {}
    assert MAY_SLEEP.keys() <= sleeping.keys(), "these sleep no more"


def test_no_test_bounds_the_time_it_takes() -> None:
    bounding = {name: lines for name, tree in parsed().items() if (lines := bounds_on_time(tree))}
    assert {name: lines for name, lines in bounding.items() if name not in MAY_BOUND_TIME} == {}
    assert MAY_BOUND_TIME.keys() <= bounding.keys(), "these bound no time any more"


def test_no_test_has_a_limit_of_its_own() -> None:
    """A few seconds are enough everywhere, but on the machine where it matters."""
    limited = {name: set(LIMITS.findall(text)) for name, text in texts().items()}
    limited = {name: written for name, written in limited.items() if written and name != "unit/test_tests.py"}
    assert {name: written for name, written in limited.items() if name not in MAY_SET_A_LIMIT} == {}
    assert MAY_SET_A_LIMIT.keys() <= limited.keys(), "these have none any more"


def test_no_test_imports_a_test() -> None:
    importing = re.compile(r"^ *(?:from|import) +tests\.[\w.]*\btest_\w+", re.M)
    assert [(name, found[0]) for name, text in texts().items() if (found := importing.search(text))] == []


MAY_TAKE_MORE = {
    "docs/test_documents.py": "git knows what is committed",
    "funnelcast/processes/test_collector_processes.py": "workers of a collector beside each other",
    "producers/files/test_durable.py": "a crash ends a process",
    "producers/http/test_connection.py": "the connection is what is tested",
    "producers/webhooks/test_enricher.py": "pauses and faults of a CRM",
    "producers/webhooks/test_new_vendor.py": "the API of a vendor",
    "streams/api/test_api.py": "headers as they are on the wire",
    "streams/api/test_api_money.py": "answers as they are on the wire",
    "streams/api/test_description.py": "the description is served",
    "streams/api/test_live.py": "a stream as it is on the wire",
    "streams/web/test_server.py": "the connection is what is tested",
}
"""Unit tests that start a process or a server. Others go to tests/integration."""
STARTS = re.compile(
    r"\bsubprocess\b|\bmultiprocessing\b|create_subprocess|start_server|create_server|HTTPServer|\buvicorn\b"
    r"|\bFakeCrm\(|\bserved\(|\bserving\(|\bschemathesis\b|\bplaywright\b"
)
MANY_ROWS, MANY_TURNS = 20, 5_000


def too_many(tree: ast.Module) -> Iterator[str]:
    """Loops of thousands, and tables that are hundreds of tests, where the number stands in the code."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if name == "range" and any(
            isinstance(at, ast.Constant) and int(str(at.value)) > MANY_TURNS for at in call.args
        ):
            yield f"{call.lineno}: a loop of thousands: take cases(...) turns (tests/support/thorough.py)"
        table = call.args[1] if name == "pytest.mark.parametrize" else None
        if isinstance(table, ast.List | ast.Tuple) and len(table.elts) > MANY_ROWS:
            yield f"{call.lineno}: a long table: make it one test with @rows (tests/support/rows.py)"


def test_unit_tests_are_cheap() -> None:
    """As far as can be said without a clock: no process, no server, no thousands."""
    unit = {name.removeprefix("unit/"): text for name, text in texts().items() if name.startswith("unit/")}
    starting = {name for name, text in unit.items() if STARTS.search(text)} - {"test_tests.py"}
    assert starting - MAY_TAKE_MORE.keys() == set(), "these belong to tests/integration"
    assert MAY_TAKE_MORE.keys() <= starting, "these start nothing any more"
    wordy = {name: text for name, text in unit.items() if "parametrize" in text or re.search(r"range\(.*\d{4}", text)}
    assert {name: told for name, text in wordy.items() if (told := list(too_many(ast.parse(text))))} == {}
