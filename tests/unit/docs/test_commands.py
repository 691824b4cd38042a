"""Every `funnelcast ...` that a text or a `--help` names is a command that there is, with options that it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

from funnelcast.cli import COMMANDS, load_command
from tests.support.documents import GENERATED, ROOT, documents, shown_commands

_INLINE = re.compile(r"`((?:\.venv/bin/)?funnelcast [^`]+)`")
_OF_THE_PROGRAM = {"--help", "-h", "--version", "--install-completion", "--show-completion"}


def named() -> Iterator[tuple[str, str]]:
    """(document, command)."""
    for path in (*documents(), GENERATED, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
        yield from ((path.name, command) for command in _INLINE.findall(text))
    yield from ((each.document, each.text) for each in shown_commands() if each.text.startswith("funnelcast "))
    examples = re.findall(r"^(?:\w+=\S+ )*(funnelcast .*)$", GENERATED.read_text(encoding="utf-8"), flags=re.M)
    yield from ((GENERATED.name, command) for command in examples)


@cache
def _load(name: str) -> Any:
    return load_command(name)


def fault_of(command: str) -> str | None:
    """What is wrong with it; None where nothing is."""
    words = shlex.split(re.sub(r"\s+#.*|\.\.\.", "", command).replace("'", "").split("\n")[0].rstrip("\\ "))
    _, *words = words
    while words and words[0].startswith("-"):
        if words.pop(0) not in _OF_THE_PROGRAM:
            return "no option of the program"
    if not words or words[0] in ("COMMAND", ""):
        return None
    name = words.pop(0)
    if name not in COMMANDS:
        return f"no command {name}"
    loaded = _load(name)
    if hasattr(loaded, "commands") and words:
        several = words.pop(0).split("|")
        if unknown := [inner for inner in several if inner not in loaded.commands]:
            return f"no command {name} {unknown[0]}"
        loaded = loaded.commands[several[0]]
    known = {option for each in getattr(loaded, "params", ()) for option in (*each.opts, *each.secondary_opts)}
    used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} - _OF_THE_PROGRAM
    return f"no option {', '.join(sorted(used - known))}" if used - known else None


def test_every_command_that_is_named_exists_with_its_options() -> None:
    names = list(named())
    assert len(names) > 200
    faults = {(document, command): fault_of(command) for document, command in names}
    assert {what: fault for what, fault in faults.items() if fault} == {}


def test_the_check_finds_what_is_wrong() -> None:
    assert fault_of("funnelcast reprot") == "no command reprot"
    assert fault_of("funnelcast report --grian day") == "no option --grian"
    assert fault_of("funnelcast funnels shwo web") == "no command funnels shwo"
    assert fault_of("funnelcast report --grain day --dim channel") is None
