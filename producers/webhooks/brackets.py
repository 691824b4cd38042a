"""Forms whose names have brackets, as PHP writes them: `leads[add][0][id]=7` is a tree. Pure."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from producers.http.body import RequestError
from producers.webhooks.delivery import parse_object
from schemas.reasons import RejectReason

MAX_FIELDS: Final = 20_000
MAX_DEPTH: Final = 16
_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
Tree = dict[str, Any]


def parse_form(body: bytes) -> Tree:
    """The form, or one element of it as a dead letter holds it (JSON). Raises RequestError."""
    return parse_object(body) if body.lstrip()[:1] == b"{" else parse_brackets(body)


def parse_brackets(body: bytes) -> Tree:
    """The tree of a form; lists are objects with numbers for names. A name of another shape stays whole.

    Raises RequestError.
    """
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise RequestError(RejectReason.MALFORMED_JSON, "the body is no form in UTF-8", str(error)[:200]) from None
    tree: Tree = {}
    for name, value in pairs:
        _put(tree, _path(name), value=value)
    return tree


def branches(value: object) -> list[Tree]:
    """The objects of a list that came as a form."""
    return [branch for branch in value.values() if isinstance(branch, dict)] if isinstance(value, dict) else []


def _path(name: str) -> list[str]:
    match = _NAME.fullmatch(name)
    if match is None:
        return [name]
    parts = [match[1], *_PART.findall(match[2])]
    return parts if len(parts) <= MAX_DEPTH else [name]


def _put(tree: Tree, path: list[str], *, value: str) -> None:
    """The later of two values of one name wins; a value where there is an object already is dropped."""
    for part in path[:-1]:
        branch = tree.setdefault(part or str(len(tree)), {})
        if not isinstance(branch, dict):
            return
        tree = branch
    name = path[-1] or str(len(tree))
    if not isinstance(tree.get(name), dict):
        tree[name] = value
