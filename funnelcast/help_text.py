"""How `--help` looks: what stands for a value, and options one below the other where a row has no room for its texts.

Typer lays out options as a table of six columns; on a narrow terminal it cuts what does not fit. Nothing is cut here:
where the help column would be too narrow, names stand on a line of their own with the help below. What Typer does is
replaced when the first help is shown, because its own module of tables takes long to import.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import typer.core

_LEAST_HELP: Final = 36
"""Columns of help beside the names of options; with fewer it stands below them."""
_BORDER, _INDENT = 4, 4
_WORDS: Final = {"str": "TEXT", "int": "NUMBER", "integer": "NUMBER", "float": "NUMBER", "path": "FILE"}


def value_word(parameter: Any) -> str:
    """What stands for the value of an option or argument; nothing for a flag, which takes none."""
    if getattr(parameter, "is_flag", False):
        return ""
    if parameter.metavar:
        return str(parameter.metavar)
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    kind: str = parameter.display_type(None).strip("<>").removeprefix("list[").rstrip("]")
    return _WORDS.get(kind.lower().removesuffix(" range"), kind)


def set_up_help() -> None:
    """Make Typer's help as it is described here."""
    for parameter in (typer.core.TyperOption, typer.core.TyperArgument):
        shown: Any = parameter
        shown.display_type_rich = lambda self, ctx: value_word(self)
    for command in (typer.core.TyperCommand, typer.core.TyperGroup):
        _lay_out(command)


def _lay_out(command: Any) -> None:
    as_it_was = command.format_help

    def format_help(self: Any, ctx: Any, formatter: Any) -> None:
        import typer.rich_utils

        typer.rich_utils._print_options_panel = _print_options  # noqa: SLF001
        as_it_was(self, ctx, formatter)

    command.format_help = format_help


def _print_options(*, name: str, params: Sequence[Any], ctx: Any, markup_mode: Any, console: Any) -> None:
    """In place of Typer's function of that name."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text
    from typer.rich_utils import STYLE_OPTION, STYLE_OPTIONS_PANEL_BORDER, STYLE_TYPES, _get_parameter_help

    if not params:
        return
    heads = [Text.assemble((_names(each), STYLE_OPTION), " ", (_value(each), STYLE_TYPES)) for each in params]
    texts: list[Any] = [_get_parameter_help(param=each, ctx=ctx, markup_mode=markup_mode) for each in params]
    for text in texts:
        for part in text.renderables:
            part.overflow = "fold"  # a word that is longer than the line goes on in the next one
    room = console.width - _BORDER - max(head.cell_len for head in heads) - 1
    if room >= max(_LEAST_HELP, *(_longest_word(text) for text in texts)):
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1)
        for head, text in zip(heads, texts, strict=True):
            table.add_row(head, text)
        shown: Any = table
    else:
        below = [Padding(text, (0, 0, 0, _INDENT)) for text in texts]
        shown = Group(*(part for pair in zip(heads, below, strict=True) for part in pair))
    console.print(Panel(shown, border_style=STYLE_OPTIONS_PANEL_BORDER, title=name, title_align="left"))


def _names(parameter: Any) -> str:
    """`--json`, `-h, --help`, `--switch/--dry-run`; of an argument its word."""
    if parameter.param_type_name == "argument":
        return value_word(parameter)
    return "/".join(", ".join(sorted(names, key=len)) for names in (parameter.opts, parameter.secondary_opts) if names)


def _value(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return "" if parameter.nargs == 1 else "..."
    limits = parameter._get_number_range_help_str()  # noqa: SLF001
    return value_word(parameter) + (f" [{limits}]" if limits else "")


def _longest_word(text: Any) -> int:
    words = (word for part in text.renderables for word in str(part).split())
    return max(map(len, words), default=0)
