"""The commands that README and docs show in shell blocks, as whole commands in their order."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "docs/commands.md"
"""Its examples are those of `--help`; tests/unit/docs/test_commands.py reads them."""
TUTORIAL = ROOT / "docs/tutorial.md"
_BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", flags=re.S | re.M)
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")


@dataclass(frozen=True)
class Shown:
    """One command of a document."""

    document: str
    block: int
    text: str


@cache
def documents() -> tuple[Path, ...]:
    """The tutorial first: what it makes is there for the others."""
    others = (path for path in sorted((ROOT / "docs").rglob("*.md")) if path not in (GENERATED, TUTORIAL))
    return (TUTORIAL, ROOT / "README.md", *others)


@cache
def shown_commands() -> tuple[Shown, ...]:
    """All of them."""
    return tuple(
        Shown(str(path.relative_to(ROOT)), number, command)
        for path in documents()
        for number, block in enumerate(_BLOCK.findall(path.read_text(encoding="utf-8")))
        for command in commands_of(block)
    )


def commands_of(block: str) -> Iterator[str]:
    """Lines that belong together are one command: the shell says so."""
    command = ""
    for line in block.splitlines():
        command += line + "\n"
        if not line.endswith("\\") and _is_whole(command):
            if command.strip() and not command.lstrip().startswith("#"):
                yield command.strip()
            command = ""
    assert not command.strip(), f"a command that does not end:\n{command}"


def _is_whole(command: str) -> bool:
    if "\n" not in command.strip("\n") and not re.search(r"""['"{]|\bfor\b""", command):
        return True
    return subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False).returncode == 0


def tutorial_block(language: str) -> str:
    """The tutorial's first block of a language. Dates are moved so that the newest is two days ago: a running space
    takes what is younger than its funnel's window."""
    block = TUTORIAL.read_text(encoding="utf-8").split(f"```{language}\n")[1].partition("```")[0]
    days = [date.fromisoformat(text) for text in _DATE.findall(block)]
    moved = (datetime.now(UTC).date() - timedelta(days=2) - max(days)) if days else timedelta()
    return _DATE.sub(lambda text: (date.fromisoformat(text[0]) + moved).isoformat(), block)
