"""A default is written once: no parameter and no field that holds a setting has a number of its own elsewhere."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator

from funnelcast.settings.catalogue import all_settings
from tests.support.sources import ROOT, product_files, statements_of

NAMES = {
    "ack_seconds": "ack_timeout",
    "session_seconds": "session_timeout",
    "start_seconds": "start_timeout",
    "time_box_seconds": "time_box",
    "is_idempotent": "idempotence",
    "body_bytes": "max_body_bytes",
    "event_bytes": "max_event_bytes",
    "events_ms": "retention_ms",
    "limit_bytes": "spool_bytes",
    "tick_seconds": "every",
}
"""What is set, by the name that a part gives it."""
OTHERS = {"producers/webhooks/hook_consumer.py": "start_seconds"}
"""How long an enricher waits at its start is no setting."""


def literal_defaults(statements: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.Constant]]:
    """(name, value) of fields and parameters whose default is a number or a text."""
    for node in statements:
        pairs: list[tuple[str, ast.expr | None]] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            positional = [*arguments.posonlyargs, *arguments.args]
            pairs += zip(
                [each.arg for each in positional[len(positional) - len(arguments.defaults) :]],
                arguments.defaults,
                strict=True,
            )
            pairs += zip([each.arg for each in arguments.kwonlyargs], arguments.kw_defaults, strict=True)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            value = node.value
            is_setting = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "setting"
            pairs.append((node.target.id, value.args[0] if is_setting and isinstance(value, ast.Call) else value))
        for name, default in pairs:
            if isinstance(default, ast.Constant) and default.value not in (None, True, False, "", 0):
                yield name.lower(), default


def test_each_default_is_written_once() -> None:
    settings = {setting.attribute for setting in all_settings().values()}
    holding = rf"(?i)\b(?:{'|'.join([*settings, *NAMES])})\b[^\n=]*="
    places: dict[tuple[str, object], list[str]] = defaultdict(list)
    for path in product_files():
        file = str(path.relative_to(ROOT))
        for name, value in literal_defaults(statements_of(path, holding)):
            if NAMES.get(name, name) in settings and OTHERS.get(file) != name:
                places[NAMES.get(name, name), value.value].append(f"{file}:{value.lineno}")
    assert not {key: where for key, where in places.items() if len(where) > 1}
    assert len(places) > 15
