"""Lines on stdout and stderr, for people and for machines: the one way of every command. Decides no content."""

from __future__ import annotations

import codecs
import io
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

import typer

from schemas.text import printable_lines


def say(text: str, *, err: bool = False) -> None:
    """A line for people."""
    typer.echo(printable_lines(text), err=err)


def emit(text: str, *, nl: bool = True) -> None:
    """A document for machines, exactly as it is where no terminal shows it."""
    if sys.stdout.isatty():
        typer.echo(printable_lines(text), nl=nl, color=True)  # strips nothing
    else:
        typer.echo(text.encode("utf-8", "replace"), nl=nl)  # whatever the locale says


_PLAIN: Final = {
    "·": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "→": "->",
    "◀": "<",
    "×": "x",
    "≥": ">=",
    "≤": "<=",
    "\u00a0": " ",
}


def speak_any_encoding() -> None:
    """What an output cannot show is written in ASCII: a report in plain letters is better than none. What goes to a
    closed output goes nowhere."""

    def plain(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        letters = error.object[error.start : error.end]
        return "".join(_PLAIN.get(letter, "?") for letter in letters), error.end

    codecs.register_error("funnelcast", plain)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller (`>&-`), who wants to hear nothing
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the life of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="funnelcast")


def command_line() -> str:
    """What to type for this program: its name where the shell finds it, else where it lies."""
    own = Path(sys.argv[0]).resolve()
    if own.name != "funnelcast":
        return f"{shlex.quote(sys.executable)} -m funnelcast"
    on_path = shutil.which("funnelcast")
    return "funnelcast" if on_path is not None and Path(on_path).resolve() == own else shlex.quote(str(own))
