"""Lines on stdout and stderr, for people and for machines: the one way of every command. Decides no content."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import typer

from schemas.text import printable_lines


def say(text: str, *, err: bool = False) -> None:
    """A line for people."""
    typer.echo(printable_lines(text), err=err)


def emit(text: str, *, nl: bool = True) -> None:
    """A document for machines, exactly as it is where no terminal shows it."""
    typer.echo(printable_lines(text) if sys.stdout.isatty() else text, nl=nl, color=True)  # strips nothing


def command_line() -> str:
    """What to type for this program: its name where the shell finds it, else where it lies."""
    own = Path(sys.argv[0]).resolve()
    if own.name != "funnelcast":
        return f"{shlex.quote(sys.executable)} -m funnelcast"
    found = shutil.which("funnelcast")
    return "funnelcast" if found is not None and Path(found).resolve() == own else shlex.quote(str(own))
